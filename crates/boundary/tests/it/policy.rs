//! The table of grants and destinations, through native code: `e2e/policy.rs` has the interfaces of guests.

use crate::broken_out::{End, reach};
use lighter_testkit::{POLICY_TABLE, answer_everywhere};

#[test]
fn native_code_has_the_verdict_of_every_interface() {
    let port = answer_everywhere();
    for row in POLICY_TABLE {
        let (to, grants) = (row.to(port), row.grants(port));
        let attempts = reach(&to.to_string(), &grants);
        for (what, is_reached) in [
            ("TCP", row.is_reached_by("tcp")),
            ("UDP", row.is_reached_by("udp")),
            ("datagram", row.is_reached_by("udp")),
        ] {
            let (end, why) = &attempts[what];
            let expected = match is_reached {
                true => End::Succeeded,
                false => End::Refused,
            };
            assert_eq!(*end, expected, "{what} to {to} with {grants:?}: {why}");
        }
    }
}
