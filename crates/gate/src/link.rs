//! The connection to the server up to the moment when WAL begins to arrive.
//!
//! Blocking, with a time limit on each read and write: nothing is confirmed before it has succeeded.

use super::order::Site;
use super::stream::Stream;
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, ChannelBinding, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Beside the server everything answers in milliseconds.
const LIMIT: Duration = Duration::from_millis(500);

/// A stream of WAL.
pub struct Link {
    pub(crate) socket: TcpStream,
    /// What has arrived and was not told yet.
    pub(crate) stream: Stream,
    /// What the server had on disk when the stream began.
    pub(crate) began_at: u64,
}

/// Connects and asks for the stream from the server's present end.
pub fn open(site: &Site) -> io::Result<Link> {
    let address = (site.host.as_str(), site.port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{} is no address", site.host)))?;
    let socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    let mut talk = Talk { socket, buffer: BytesMut::with_capacity(1 << 18), out: BytesMut::new() };
    talk.begin(site)?;
    talk.until_ready()?;
    let (timeline, began_at) = talk.identify()?;
    let (high, low) = (began_at >> 32, began_at & 0xffff_ffff);
    frontend::query(&format!("START_REPLICATION PHYSICAL {high:X}/{low:X} TIMELINE {timeline}"), &mut talk.out)?;
    talk.send()?;
    talk.await_stream()?;
    let Talk { socket, buffer, .. } = talk;
    socket.set_nonblocking(true)?;
    Ok(Link { socket, stream: Stream::after(buffer), began_at })
}

struct Talk {
    socket: TcpStream,
    buffer: BytesMut,
    out: BytesMut,
}

impl Talk {
    fn begin(&mut self, site: &Site) -> io::Result<()> {
        let options = format!("-c wal_sender_timeout={}ms", site.sender_timeout_ms);
        let parameters = [
            ("user", site.user.as_str()),
            ("replication", "true"),
            ("application_name", site.name.as_str()),
            ("options", options.as_str()),
        ];
        frontend::startup_message(parameters, &mut self.out)?;
        self.send()?;
        let password = || site.password.as_deref().ok_or_else(|| io::Error::other("the server asks for a password"));
        loop {
            match self.message()? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password()?.as_bytes(), &mut self.out)?;
                    self.send()?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(site.user.as_bytes(), password()?.as_bytes(), body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.out)?;
                    self.send()?;
                }
                Message::AuthenticationSasl(body) => {
                    let offered: Vec<String> = body.mechanisms().map(|m| Ok(m.to_owned())).collect()?;
                    if !offered.iter().any(|m| m == sasl::SCRAM_SHA_256) {
                        return Err(io::Error::other(format!("cannot log in by any of {offered:?}")));
                    }
                    self.scram(password()?)?;
                }
                Message::ErrorResponse(body) => return Err(io::Error::other(fields_text(body.fields()))),
                _ => return Err(io::Error::other("the server asks for a way to log in that the gate does not know")),
            }
        }
    }

    fn scram(&mut self, password: &str) -> io::Result<()> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        frontend::sasl_initial_response(sasl::SCRAM_SHA_256, scram.message(), &mut self.out)?;
        self.send()?;
        loop {
            match self.message()? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.out)?;
                    self.send()?;
                }
                Message::AuthenticationSaslFinal(body) => return scram.finish(body.data()),
                Message::ErrorResponse(body) => return Err(io::Error::other(fields_text(body.fields()))),
                _ => return Err(io::Error::other("the server broke off the log-in")),
            }
        }
    }

    fn until_ready(&mut self) -> io::Result<()> {
        loop {
            match self.message()? {
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(io::Error::other(fields_text(body.fields()))),
                _ => {}
            }
        }
    }

    /// The server's timeline and what it has on disk.
    fn identify(&mut self) -> io::Result<(u32, u64)> {
        frontend::query("IDENTIFY_SYSTEM", &mut self.out)?;
        self.send()?;
        let mut found = None;
        loop {
            match self.message()? {
                Message::DataRow(row) => {
                    let ranges: Vec<_> = row.ranges().collect()?;
                    let text = |n: usize| {
                        let range = ranges.get(n)?.clone()?;
                        std::str::from_utf8(row.buffer().get(range)?).ok()
                    };
                    found = text(1).and_then(|t| t.parse().ok()).zip(text(2).and_then(position));
                }
                Message::ReadyForQuery(_) => {
                    return found.ok_or_else(|| io::Error::other("the server does not say where it is"));
                }
                Message::ErrorResponse(body) => return Err(io::Error::other(fields_text(body.fields()))),
                _ => {}
            }
        }
    }

    /// The answer to the request for a stream, which the library does not know: `W`.
    fn await_stream(&mut self) -> io::Result<()> {
        loop {
            if let (Some(tag), Some(length)) = (self.buffer.first().copied(), self.buffer.get(1..5)) {
                let length = u32::from_be_bytes(length.try_into().expect("four bytes were taken")) as usize;
                if self.buffer.len() > length {
                    let message = self.buffer.split_to(1 + length);
                    match tag {
                        b'W' => return Ok(()),
                        b'E' => return Err(io::Error::other(error_text(message.get(5..).unwrap_or_default()))),
                        _ => continue,
                    }
                }
            }
            self.fill()?;
        }
    }

    fn message(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.buffer)? {
                return Ok(message);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        match self.socket.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

/// `16/B374D848`.
fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let part = |text| u64::from_str_radix(text, 16).ok();
    Some(part(high)? << 32 | part(low)?)
}

fn fields_text(mut fields: ErrorFields<'_>) -> String {
    let mut text = String::from("the server says no");
    while let Ok(Some(field)) = fields.next() {
        if field.type_() == b'M' {
            text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        }
    }
    text
}

/// The text of an error message that the library did not read: fields of one letter and a text each, ended by zeros.
pub(crate) fn error_text(message: &[u8]) -> String {
    let text = message.split(|b| *b == 0).find_map(|field| field.strip_prefix(b"M"));
    text.map_or_else(|| "the server says no".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_the_server_writes_them() {
        assert_eq!(position("16/B374D848"), Some(0x16_B374_D848));
        assert_eq!(position("0/0"), Some(0));
        assert_eq!((position("16"), position("x/1")), (None, None));
    }

    #[test]
    fn the_message_of_an_error_is_found_among_its_fields() {
        assert_eq!(error_text(b"SERROR\0C58P01\0Mno such WAL\0\0"), "no such WAL");
        assert_eq!(error_text(b""), "the server says no");
    }
}
