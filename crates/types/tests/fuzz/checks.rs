//! What must hold for any bytes at the two boundaries of this crate. The fixed-count tests beside
//! this file and the targets of `cargo fuzz` share it.

use lighter_types::grant::{Grant, KEYS, parse_environment_file};
use lighter_types::runner_protocol::{
    FROM_RUNNER_BYTES, FromRunner, Order, TO_RUNNER_BYTES, encode, take_message,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The grammar of grants: the first byte chooses the key, the rest is the value.
///
/// A grant reads back from its canonical text; an error is one line of bounded length.
pub fn grant_grammar(data: &[u8]) {
    let Some((first, value)) = data.split_first() else {
        return;
    };
    if let Err(error) = parse_environment_file(value) {
        assert_one_line(&error.to_string());
    }
    let Ok(value) = std::str::from_utf8(value) else {
        return;
    };
    let key = KEYS[usize::from(*first) % KEYS.len()];
    match Grant::parse(key, value) {
        Ok(grant) => {
            let text = grant.to_string();
            let (key, value) = text.split_once('=').expect("the text is KEY=VALUE");
            assert_eq!(Grant::parse(key, value), Ok(grant), "{text:?}");
        }
        Err(error) => assert_one_line(&error.to_string()),
    }
    if let Err(error) = Grant::parse(value, "x") {
        assert_one_line(&error.to_string());
    }
}

fn assert_one_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.len() < 64 << 10, "{} bytes", text.len());
}

/// The frames between keeper and runner, in both directions.
///
/// Whatever decodes is a message that survives its own frame.
pub fn runner_protocol(data: &[u8]) {
    check_frames::<FromRunner>(data, FROM_RUNNER_BYTES);
    check_frames::<Order>(data, TO_RUNNER_BYTES);
}

fn check_frames<M: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8], limit: usize) {
    let mut buffer = data.to_vec();
    while let Ok(Some(message)) = take_message::<M>(&mut buffer, limit) {
        let mut frame = encode(&message, limit).expect("it came in a frame");
        let again = take_message(&mut frame, limit);
        assert_eq!(again, Ok(Some(message)));
        assert!(frame.is_empty());
    }
}
