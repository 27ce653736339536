//! Answers queries from what is published. Never asks anybody else, never waits for the disk.
//!
//! | asked for | answer |
//! |---|---|
//! | a name that was told, `A` or `AAAA` | one address, chosen by weight per query |
//! | a name that was told, another type | no error, nothing (with the SOA) |
//! | the zone itself, `SOA` or `NS` | those |
//! | a name above one that was told | no error, nothing (with the SOA) |
//! | another name in a zone | no such name (with the SOA) |
//! | a name in no zone, a transfer, another class | refused |

use crate::choice::{Dice, choose};
use crate::shelf::Shelf;
use async_trait::async_trait;
use hickory_proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, RecordType};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use std::net::IpAddr;
use std::sync::Arc;

/// How long resolvers may remember that there is nothing, in seconds. Short: the name may be told any moment.
const NOTHING_TTL_S: u32 = 1;

/// Time to live of SOA and NS in seconds; they only change with the zone itself.
const ZONE_TTL_S: u32 = 60;

/// Largest UDP packet we say we take: fits every path without fragments (DNS flag day 2020).
const MAX_PAYLOAD: u16 = 1_232;

/// Answers from a [`Shelf`].
pub struct Answerer {
    shelf: Arc<Shelf>,
    zones: Vec<Zone>,
    dice: Dice,
}

/// A zone we are the authority of.
struct Zone {
    origin: LowerName,
    apex: Name,
    server: Name,
    person: Name,
    /// Address of the server, if it is one that others can use.
    address: Option<IpAddr>,
}

/// What goes back.
struct Answer {
    code: ResponseCode,
    authoritative: bool,
    answers: Vec<Record>,
    soa: Vec<Record>,
}

impl Answer {
    fn bare(code: ResponseCode) -> Self {
        Self { code, authoritative: false, answers: Vec::new(), soa: Vec::new() }
    }
}

impl Answerer {
    /// Authority of the `origins`; `address` is where it listens.
    pub fn new(shelf: Arc<Shelf>, origins: &[Name], address: IpAddr) -> Self {
        let address = (!address.is_unspecified()).then_some(address);
        let zones = origins.iter().map(|origin| Zone::new(origin, address)).collect();
        Self { shelf, zones, dice: Dice::default() }
    }

    fn zone_of(&self, name: &LowerName) -> Option<&Zone> {
        self.zones.iter().filter(|z| z.origin.zone_of(name)).max_by_key(|z| z.origin.num_labels())
    }

    fn answer(&self, request: &Request) -> Answer {
        match request.metadata.op_code {
            OpCode::Query => {}
            OpCode::Update => return Answer::bare(ResponseCode::Refused),
            _ => return Answer::bare(ResponseCode::NotImp),
        }
        let [query] = request.queries.queries() else { return Answer::bare(ResponseCode::FormErr) };
        let asked = query.query_type();
        if query.query_class() != DNSClass::IN || matches!(asked, RecordType::AXFR | RecordType::IXFR) {
            return Answer::bare(ResponseCode::Refused);
        }
        let Some(zone) = self.zone_of(query.name()) else { return Answer::bare(ResponseCode::Refused) };
        let (exists, answers) = self.records(zone, query.name(), query.original().name(), asked);
        let soa = if answers.is_empty() { vec![self.soa(zone, NOTHING_TTL_S)] } else { Vec::new() };
        let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
        Answer { code, authoritative: true, answers, soa }
    }

    /// Whether the name exists, and its records of the type. The owner is spelled as it was asked for.
    fn records(&self, zone: &Zone, name: &LowerName, asked: &Name, kind: RecordType) -> (bool, Vec<Record>) {
        let book = self.shelf.book();
        let key = key_of(name);
        let mut records = Vec::new();
        let wants = |t: RecordType| kind == t || kind == RecordType::ANY;
        if name == &zone.origin {
            if wants(RecordType::SOA) {
                records.push(self.soa(zone, ZONE_TTL_S));
            }
            if wants(RecordType::NS) {
                let server = RData::NS(NS(zone.server.clone()));
                records.push(Record::from_rdata(asked.clone(), ZONE_TTL_S, server));
            }
        }
        if let Some(entry) = book.names.get(&key) {
            for (kind, is_kind) in [(RecordType::A, true), (RecordType::AAAA, false)] {
                let fits = entry.answers.iter().filter(|a| a.address.is_ipv4() == is_kind);
                if wants(kind)
                    && let Some(chosen) = choose(fits.clone().map(|a| a.weight), self.dice.roll())
                {
                    records.extend(fits.skip(chosen).take(1).map(|a| address(asked, entry.ttl_s, a.address)));
                }
            }
            return (true, records);
        }
        let is_server = name == &LowerName::new(&zone.server);
        if is_server && let Some(ip) = zone.address {
            let kind = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            records.extend(wants(kind).then(|| address(asked, ZONE_TTL_S, ip)));
        }
        let above = format!(".{key}");
        let exists = name == &zone.origin || is_server || book.names.keys().any(|told| told.ends_with(&above));
        (exists, records)
    }

    fn soa(&self, zone: &Zone, ttl_s: u32) -> Record {
        let serial = self.shelf.book().serial();
        let soa = SOA::new(zone.server.clone(), zone.person.clone(), serial, 60, 10, 86_400, NOTHING_TTL_S);
        Record::from_rdata(zone.apex.clone(), ttl_s, RData::SOA(soa))
    }
}

impl Zone {
    fn new(origin: &Name, address: Option<IpAddr>) -> Self {
        let below = |label: &str| origin.prepend_label(label).unwrap_or_else(|_| origin.clone());
        Self {
            origin: LowerName::new(origin),
            apex: origin.clone(),
            server: below("ns"),
            person: below("hostmaster"),
            address,
        }
    }
}

/// The name as the book has it: lower case, without a final dot.
pub fn key_of(name: &LowerName) -> String {
    name.to_string().trim_end_matches('.').to_owned()
}

fn address(owner: &Name, ttl_s: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    };
    Record::from_rdata(owner.clone(), ttl_s, data)
}

#[async_trait]
impl RequestHandler for Answerer {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        // Answering an answer lets two servers talk to each other for ever.
        if request.metadata.message_type == MessageType::Response {
            return Header { metadata, counts: HeaderCounts::default() }.into();
        }
        let edns = request.edns.as_ref().map(|theirs| {
            let mut ours = Edns::new();
            ours.set_max_payload(MAX_PAYLOAD.min(theirs.max_payload().max(512)));
            ours
        });
        let answer = match &request.edns {
            Some(theirs) if theirs.version() > 0 => Answer::bare(ResponseCode::BADVERS),
            _ => self.answer(request),
        };
        metadata.response_code = answer.code;
        metadata.authoritative = answer.authoritative;
        let mut response = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            response.edns(edns);
        }
        let response = response.build(metadata, &answer.answers, [], &answer.soa, []);
        match handle.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::warn!(%error, to = %request.src(), "an answer could not be sent");
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}
