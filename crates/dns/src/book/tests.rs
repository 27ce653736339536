//! The rules of the book, one by one.

use super::*;
use pilotlight_core::id::Region;

fn put(epoch: u64, weights: &[(&str, &str, u32)]) -> NamePut {
    let answers = weights
        .iter()
        .map(|(region, address, weight)| NameAnswer {
            region: Region::new(*region),
            address: address.parse().unwrap(),
            weight: *weight,
        })
        .collect();
    NamePut { unit: "payments".into(), epoch: Epoch(epoch), ttl_s: 1, answers, if_version: None }
}

const EAST: &[(&str, &str, u32)] = &[("east", "127.0.0.2", 100), ("west", "127.0.0.3", 0)];
const WEST: &[(&str, &str, u32)] = &[("east", "127.0.0.2", 0), ("west", "127.0.0.3", 100)];

fn told(puts: &[NamePut]) -> Book {
    puts.iter().fold(Book::default(), |book, put| book.put("pay.example.test", put).unwrap().0)
}

#[test]
fn the_newest_epoch_wins_and_an_older_one_changes_nothing() {
    let book = told(&[put(1, EAST), put(3, WEST)]);
    let refused = book.put("pay.example.test", &put(2, EAST)).unwrap_err();
    assert_eq!(refused, PutError::OldEpoch { unit: "payments".into(), given: Epoch(2), newest: Epoch(3) });
    // Another name of the same unit is under the same guard.
    assert!(matches!(book.put("api.example.test", &put(2, EAST)), Err(PutError::OldEpoch { .. })));
    assert_eq!(book.view("pay.example.test").unwrap().epoch, Epoch(3));
}

#[test]
fn the_same_again_is_unchanged_but_a_newer_epoch_is_kept() {
    let book = told(&[put(1, EAST)]);
    let (same, reply) = book.put("pay.example.test", &put(1, EAST)).unwrap();
    assert_eq!((reply, &same), (PutReply { changed: false, version: 1 }, &book));
    let (raised, reply) = book.put("pay.example.test", &put(5, EAST)).unwrap();
    assert!(!reply.changed);
    assert!(matches!(raised.put("pay.example.test", &put(4, WEST)), Err(PutError::OldEpoch { .. })));
}

#[test]
fn a_request_that_arrives_late_is_refused_by_its_version() {
    let mut late = put(1, EAST);
    late.if_version = Some(0);
    let book = told(&[late.clone(), put(1, WEST)]);
    let refused = book.put("pay.example.test", &late).unwrap_err();
    assert_eq!(refused, PutError::OtherVersion { name: "pay.example.test".into(), expected: 0, published: 2 });
}

#[test]
fn a_name_belongs_to_one_unit() {
    let book = told(&[put(1, EAST)]);
    let other = NamePut { unit: "ledger".into(), ..put(9, WEST) };
    assert!(matches!(book.put("pay.example.test", &other), Err(PutError::OtherUnit { .. })));
}

#[test]
fn nothing_that_leaves_users_without_an_address_is_taken() {
    let many: Vec<_> = (0..=MAX_ANSWERS).map(|i| format!("r{i}")).collect();
    let many: Vec<_> = many.iter().map(|r| (r.as_str(), "127.0.0.2", 1)).collect();
    for (answers, says) in [
        (&[][..], "no answer"),
        (&[("east", "127.0.0.2", 0), ("west", "127.0.0.3", 0)][..], "every weight is 0"),
        (&[("east", "0.0.0.0", 1)][..], "not the address of a host"),
        (&[("east", "255.255.255.255", 1)][..], "not the address of a host"),
        (&[("east", "ff02::1", 1)][..], "not the address of a host"),
        (&[("east", "127.0.0.2", 1), ("east", "127.0.0.3", 1)][..], "there twice"),
        (&many[..], "more than"),
    ] {
        let refused = Book::default().put("pay.example.test", &put(1, answers)).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused:?} does not say {says:?}");
    }
    let forever = NamePut { ttl_s: MAX_TTL_S + 1, ..put(1, EAST) };
    assert!(matches!(Book::default().put("pay.example.test", &forever), Err(PutError::Unusable(_))));
}

#[test]
fn the_serial_grows_with_every_change() {
    let serials: Vec<_> =
        [vec![], vec![put(1, EAST)], vec![put(1, EAST), put(1, WEST)]].iter().map(|puts| told(puts).serial()).collect();
    assert_eq!(serials, [0, 1, 2]);
}
