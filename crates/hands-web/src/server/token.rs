//! [`Token`]: what lets in.

use std::fmt;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// 256 random bits.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn new() -> io::Result<Token> {
        let mut bytes = [0; 32];
        // The system gives up to 256 bytes whole.
        getrandom(&mut bytes, GetRandomFlags::empty())?;
        Ok(Token(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// Whether somebody has said it; it takes as long however much of it is right.
    pub(super) fn is(&self, said: &str) -> bool {
        let (own, said) = (self.0.as_bytes(), said.as_bytes());
        let differs = own.iter().zip(said).fold(0, |all, (a, b)| all | (a ^ b));
        own.len() == said.len() && differs == 0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
