//! Single values: text against a shape. No places and no faults here; the reader adds those.

use super::address::{NotUrl, is_host, parse_url, split_host};
use super::components::literal::carries_password;
use super::shape::Shape;
use super::value::Datum;
use crate::code::{self, Code};
use crate::time::{parse_duration, show_duration};

/// Why a text does not fit, beside what the shape allows.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) code: Code,
    /// What is wrong, in words that follow the key path.
    pub(super) says: String,
    pub(super) hint: &'static str,
}

fn misfit(says: impl Into<String>) -> Misfit {
    Misfit { code: code::PLAN_VALUE, says: says.into(), hint: "" }
}

/// Reads a text as a shape that is neither a list nor a map; `None` when the shape is not of that sort.
pub(super) fn read(shape: &Shape, text: &str) -> Option<Result<Datum, Misfit>> {
    Some(match shape {
        Shape::Text => filled(text).map(Datum::Text),
        Shape::Name => name(text),
        Shape::Region => Ok(Datum::Text(text.to_owned())),
        Shape::Duration { least } => duration(text, *least),
        Shape::Count { least, most } => count(text, *least, *most),
        Shape::Size => size(text).map(Datum::Number).ok_or_else(|| misfit("is not a number of bytes")),
        Shape::Flag => match text {
            "true" => Ok(Datum::Flag(true)),
            "false" => Ok(Datum::Flag(false)),
            _ => Err(misfit("is neither `true` nor `false`")),
        },
        Shape::Choice(words) | Shape::ChoiceOr(words, _) => match words.iter().find(|w| w.word == text) {
            Some(w) => Ok(Datum::Word(w.word)),
            None => Err(misfit("is none of the words allowed here")),
        },
        Shape::Socket => socket(text),
        Shape::HostPort => match split_host(text) {
            Some((_, Some(_))) => Ok(Datum::Text(text.to_owned())),
            Some((_, None)) => Err(misfit("has no port")),
            None => Err(misfit("is not a host with a port")),
        },
        Shape::Ip => text.parse().map(Datum::Ip).map_err(|_| misfit("is not an IP address")),
        Shape::Url => url(text),
        Shape::Domain => domain(text),
        Shape::Dsn => dsn(text),
        Shape::Path => filled(text).map(|t| Datum::Path(t.into())),
        _ => return None,
    })
}

fn filled(text: &str) -> Result<String, Misfit> {
    if text.trim().is_empty() { Err(misfit("is empty")) } else { Ok(text.to_owned()) }
}

/// Whether a text is a legal name.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn name(text: &str) -> Result<Datum, Misfit> {
    if is_name(text) {
        return Ok(Datum::Text(text.to_owned()));
    }
    Err(Misfit { code: code::PLAN_NAME, says: "is not a legal name".into(), hint: "" })
}

fn duration(text: &str, least: std::time::Duration) -> Result<Datum, Misfit> {
    match parse_duration(text) {
        Some(d) if d < least => Err(misfit(format!("is shorter than {}", show_duration(least)))),
        // A century: longer is a slip of the keyboard and would overflow later sums.
        Some(d) if d > std::time::Duration::from_secs(100 * 366 * 86_400) => Err(misfit("is longer than a century")),
        Some(d) => Ok(Datum::Duration(d)),
        None if text.trim().parse::<f64>().is_ok() => Err(Misfit {
            code: code::PLAN_VALUE,
            says: "has no unit".into(),
            hint: "Write the unit: `30s` for seconds, `30ms` for milliseconds, `30m` for minutes.",
        }),
        None => Err(misfit("is not a length of time")),
    }
}

fn count(text: &str, least: u64, most: u64) -> Result<Datum, Misfit> {
    let n: u64 = text.parse().map_err(|_| misfit("is not a whole number"))?;
    if n < least {
        Err(misfit(format!("is less than {least}")))
    } else if n > most {
        Err(misfit(format!("is more than {most}")))
    } else {
        Ok(Datum::Number(n))
    }
}

/// `512`, `16MiB`, `1.5 GB`: bytes; `K`, `M`, `G`, `T` alone count in powers of 1,024 as PostgreSQL does.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "K" | "KiB" => 1024.0,
        "M" | "MiB" => 1_048_576.0,
        "G" | "GiB" => 1_073_741_824.0,
        "T" | "TiB" => 1_099_511_627_776.0,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    (bytes.is_finite() && bytes < 9e15).then_some(bytes.round() as u64)
}

fn socket(text: &str) -> Result<Datum, Misfit> {
    match text.parse::<std::net::SocketAddr>() {
        Ok(s) if s.port() == 0 => Err(misfit("has the port 0, which nobody could dial")),
        Ok(s) => Ok(Datum::Socket(s)),
        Err(_) if split_host(text).is_some_and(|(host, _)| host.parse::<std::net::IpAddr>().is_err()) => Err(Misfit {
            code: code::PLAN_VALUE,
            says: "is not a numeric address with a port".into(),
            hint: "Write the address itself, for example `127.0.0.1:7400`; names are not looked up here.",
        }),
        Err(_) => Err(misfit("is not an address with a port")),
    }
}

fn url(text: &str) -> Result<Datum, Misfit> {
    match parse_url(text) {
        Ok(_) => Ok(Datum::Text(text.to_owned())),
        Err(NotUrl::Credentials) => Err(Misfit {
            code: code::PLAN_LITERAL_SECRET,
            says: "carries a user or a password".into(),
            hint: "Remove the part before the `@`. A plan is read by many people and never holds a secret.",
        }),
        Err(NotUrl::Malformed) => Err(misfit("is not a URL")),
    }
}

fn domain(text: &str) -> Result<Datum, Misfit> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err(misfit("is an address, not a name"));
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    if is_host(bare) { Ok(Datum::Text(bare.to_ascii_lowercase())) } else { Err(misfit("is not a domain name")) }
}

fn dsn(text: &str) -> Result<Datum, Misfit> {
    let text = filled(text)?;
    if carries_password(&text) {
        return Err(Misfit {
            code: code::PLAN_LITERAL_SECRET,
            says: "holds a password".into(),
            hint: "Remove it, and let pg_hba.conf admit this client without one (by certificate or peer, for example).",
        });
    }
    Ok(Datum::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("16MiB", Some(16 << 20)),
            ("1.5 GB", Some(1_500_000_000)),
            ("8K", Some(8192)),
            ("16 parsecs", None),
            ("MiB", None),
            ("1e9", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn names_are_small_and_plain() {
        for good in ["a", "us-east-1", "warm-cache"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "A", "1a", "-a", "a_b", "a.b", "ä", long.as_str()] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn passwords_in_connection_strings_are_seen() {
        for (text, good) in [
            ("host=h user=u", true),
            ("postgres://u@h/d", true),
            ("postgres://u:p@h/d", false),
            ("host=h PassWord = x", false),
        ] {
            assert_eq!(dsn(text).is_ok(), good, "{text}");
        }
    }
}
