//! Several controllers, played by listeners: who is asked, who is believed, and what is given up.

use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What a controller on a thread of its own does with each request.
#[derive(Clone)]
enum Plays {
    Leads { term: u64 },
    StandsBy,
    Hangs,
}

/// Its address, and a place to change what it plays.
struct Controller {
    url: String,
    plays: Arc<Mutex<Plays>>,
}

impl Controller {
    fn start(plays: Plays) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plays = Arc::new(Mutex::new(plays));
        let now = plays.clone();
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming().flatten() {
                let plays = now.lock().unwrap().clone();
                hanging.extend(answer(stream, &plays));
            }
        });
        Self { url, plays }
    }

    fn now(&self, plays: Plays) {
        *self.plays.lock().unwrap() = plays;
    }
}

/// Answers one request and closes; a stream that hangs is given back.
fn answer(mut stream: TcpStream, plays: &Plays) -> Option<TcpStream> {
    let mut request = [0; 4_096];
    let _ = stream.read(&mut request);
    let (status, header, body) = match plays {
        Plays::Hangs => return Some(stream),
        Plays::Leads { term } => ("200 OK", format!("{TERM_HEADER}: {term}\r\n"), term.to_string()),
        Plays::StandsBy => {
            ("421 Misdirected Request", String::new(), r#"{"code":"PL-0408","message":"not me"}"#.to_owned())
        }
    };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    None
}

fn link(controllers: &[&Controller]) -> HttpWay {
    let bases: Vec<String> = controllers.iter().map(|c| c.url.clone()).collect();
    let _ = rustls::crypto::ring::default_provider().install_default();
    HttpWay::new(reqwest::Client::builder().no_proxy().build().unwrap(), &bases, "token".to_owned())
}

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn whoever_leads_is_found_and_asked_first_from_then_on() {
    let (one, two, three) = (
        Controller::start(Plays::StandsBy),
        Controller::start(Plays::StandsBy),
        Controller::start(Plays::Leads { term: 3 }),
    );
    let link = link(&[&one, &two, &three]);
    assert_eq!(link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap(), 3);
    assert_eq!(*link.leads.borrow(), Some(2));
    one.now(Plays::Leads { term: 4 });
    three.now(Plays::StandsBy);
    assert_eq!(link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap(), 4);
    assert_eq!(*link.leads.borrow(), Some(0));
}

#[tokio::test]
async fn a_leader_of_an_older_term_is_not_believed() {
    let (old, new) = (Controller::start(Plays::Leads { term: 3 }), Controller::start(Plays::StandsBy));
    let link = link(&[&old, &new]);
    assert_eq!(link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap(), 3);
    old.now(Plays::StandsBy);
    new.now(Plays::Leads { term: 4 });
    assert_eq!(link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap(), 4);
    assert_eq!(link.term(), Term(4), "what a leader of an older one is told");
    old.now(Plays::Leads { term: 3 });
    new.now(Plays::StandsBy);
    let error = link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, WayError::Refused { .. }), "the old one's answer is no answer: {error}");
}

#[tokio::test]
async fn nobody_who_leads_is_an_error_that_says_what_was_answered() {
    let (one, two) = (Controller::start(Plays::StandsBy), Controller::start(Plays::StandsBy));
    let link = link(&[&one, &two]);
    let error = link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap_err();
    assert_eq!(error.code(), "PL-0408", "{error}");
    two.now(Plays::Leads { term: 1 });
    assert_eq!(link.post::<_, u64>("/x", &(), PATIENCE).await.unwrap(), 1);
}

#[tokio::test]
async fn a_request_that_waits_at_a_frozen_leader_is_given_up_when_another_is_found() {
    let (frozen, next) = (Controller::start(Plays::Hangs), Controller::start(Plays::Leads { term: 2 }));
    let link = link(&[&frozen, &next]);
    let clock = SystemClock;
    let began = clock.mono();
    let waiting = link.post::<_, u64>("/work", &(), Duration::from_secs(600));
    let beating = link.post::<_, u64>("/heartbeat", &(), Duration::from_secs(2));
    let (waited, beaten) = tokio::join!(waiting, beating);
    assert_eq!((waited.unwrap(), beaten.unwrap()), (2, 2));
    assert!(clock.mono().since(began) < Duration::from_secs(300), "the long request was not waited out");
}

#[test]
fn controllers_that_refuse_and_are_silent_by_turns_are_told_of_once_a_minute_each() {
    let way = link(&[]);
    let told = |from: u64, to: u64| {
        let turn = |tenth: u64| [Some("PL-0402"), Some("PL-0403"), None][usize::try_from(tenth % 3).unwrap()];
        let at = |tenth: u64| Mono::default() + Duration::from_millis(tenth * 100);
        (from..to).filter(|tenth| way.is_news(turn(*tenth), at(*tenth))).count()
    };
    assert_eq!(told(0, 600), 3, "each once in the first minute");
    assert_eq!(told(600, 1_200), 3, "and once in the next");
    let later = Mono::default() + Duration::from_secs(300);
    assert!(way.is_news(Some("PL-0402"), later));
    assert!(!way.is_news(Some("PL-0402"), later + Duration::from_secs(3_600)), "what lasts is told once");
}
