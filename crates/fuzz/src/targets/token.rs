//! Tokens of `wfpsim explore --replay`: words that people send each other.

use wfpsim::driver::tollgate;
use wfpsim::explore;
use wfpsim::explore::Token;

use crate::input::Input;

/// Subjects that are over in milliseconds, and that no failed call disappoints: a driver that does not load is one of their ends.
const SUBJECTS: [&str; 3] = ["one-packet", "two-packets-unload", "ten-packets"];

/// The bytes are a token's letters, or what a token's letters stand for. A token is refused or is written as it was read, and
/// whatever run it tells of, it ends, and the driver violates nothing in it.
pub fn token(bytes: &[u8]) {
    let read = std::str::from_utf8(bytes).map(Token::parse);
    if let Ok(Err(error)) = read {
        assert!(!error.to_string().is_empty());
    }
    if let Ok(Ok(token)) = read {
        again(&token);
    }
    let mut input = Input::new(bytes);
    let subject = input.one_of(&SUBJECTS);
    let Some(mut token) = Token::from_body(input.bytes(bytes.len())) else {
        return;
    };
    again(&token);
    token.subject = subject.to_owned();
    let subject = explore::subject(&tollgate().into(), subject).expect("it is one of them");
    if let Some(finding) = explore::replay(subject.as_ref(), &token) {
        panic!("{finding}");
    }
}

/// Reads a token as it is written.
fn again(token: &Token) {
    assert_eq!(Token::parse(&token.to_string()).as_ref(), Ok(token));
}
