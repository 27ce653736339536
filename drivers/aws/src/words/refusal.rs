//! What AWS's error codes mean for the next call: may something have changed, and is it worth asking again?

use pilotlight_core::outcome::FailureKind;

/// A failed call in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Too many calls: nothing was done, ask again later.
    Throttled,
    /// The credentials may not do that, or are not known.
    Denied,
    /// There is no such thing.
    Missing,
    /// It is not in a state for that now; often it is being changed.
    Busy,
    /// The request is wrong and will stay so.
    Wrong,
    /// AWS failed: it may or may not have been done.
    Broken,
    /// Never sent.
    Unreachable,
    /// Sent, and no answer came: it may or may not have been done.
    Lost,
}

impl Said {
    /// Reads the code of an error, for example `ThrottlingException`.
    pub fn of_code(code: &str, status: u16) -> Said {
        let is = |words: &[&str]| words.iter().any(|w| code.contains(w));
        if is(&[
            "Throttl",
            "TooManyRequests",
            "RequestLimitExceeded",
            "SlowDown",
            "PriorRequestNotComplete",
            "RateExceeded",
        ]) {
            return Said::Throttled;
        }
        if is(&[
            "AccessDenied",
            "Unauthorized",
            "NotAuthorized",
            "InvalidClientTokenId",
            "UnrecognizedClient",
            "ExpiredToken",
            "SignatureDoesNotMatch",
            "AuthFailure",
            "AuthorizationError",
            "OptInRequired",
        ]) {
            return Said::Denied;
        }
        if is(&["NotFound", "NoSuch", "DoesNotExist"]) {
            return Said::Missing;
        }
        if is(&["Invalid"]) && is(&["State", "Status"])
            || is(&["InProgress", "ResourceContention", "Conflict", "InUse"])
        {
            return Said::Busy;
        }
        if status >= 500 {
            return Said::Broken;
        }
        Said::Wrong
    }

    /// The kind of failure of a call that changes something.
    pub fn kind(self) -> FailureKind {
        match self {
            Said::Throttled | Said::Busy => FailureKind::Transient,
            Said::Denied | Said::Missing | Said::Wrong => FailureKind::Rejected,
            Said::Broken | Said::Lost => FailureKind::OutcomeUnknown,
            Said::Unreachable => FailureKind::Unreachable,
        }
    }

    /// What a person could do.
    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Said::Throttled => "other programs of the account call the same API; wait, or ask AWS for a higher rate",
            Said::Denied => "give the role of Pilotlight this right; docs/aws.md lists what each driver needs",
            Said::Missing => "compare the names in the plan with the account and region",
            Said::Busy => "look at it in AWS's console: something else changes it, or it is not healthy",
            Said::Wrong => return None,
            Said::Broken | Said::Lost => "look what it did before you try again",
            Said::Unreachable => "is the region's API up, and does this machine reach it?",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read() {
        for (code, status, said) in [
            ("Throttling", 400, Said::Throttled),
            ("ThrottlingException", 400, Said::Throttled),
            ("PriorRequestNotComplete", 400, Said::Throttled),
            ("AccessDeniedException", 400, Said::Denied),
            ("AccessDenied", 403, Said::Denied),
            ("AuthorizationError", 403, Said::Denied),
            ("GlobalClusterNotFoundFault", 404, Said::Missing),
            ("NoSuchHostedZone", 404, Said::Missing),
            ("InvalidGlobalClusterStateFault", 400, Said::Busy),
            ("InvalidDBClusterStateFault", 400, Said::Busy),
            ("ScalingActivityInProgress", 400, Said::Busy),
            ("InternalFailure", 500, Said::Broken),
            ("ServiceUnavailable", 503, Said::Broken),
            ("InvalidParameterValue", 400, Said::Wrong),
            ("ValidationError", 400, Said::Wrong),
        ] {
            assert_eq!(Said::of_code(code, status), said, "{code}");
        }
    }

    #[test]
    fn only_what_was_never_done_may_be_repeated_blindly() {
        for said in [Said::Broken, Said::Lost] {
            assert_eq!(said.kind(), FailureKind::OutcomeUnknown);
        }
        assert_eq!(Said::Throttled.kind(), FailureKind::Transient);
        assert_eq!(Said::Unreachable.kind(), FailureKind::Unreachable);
    }
}
