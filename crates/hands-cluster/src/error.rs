//! Why a cluster cannot be had, or cannot go on: a sentence, and what to do.

use std::fmt;

/// Why a cluster, or something of it, cannot be had.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterError {
    /// The address is none.
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers there, or not in time, or it is not the one that was meant.
    Connect {
        /// The address, without what is secret in it.
        url: String,
        /// The client's reason.
        why: String,
    },
    /// The server refuses who asks.
    Refused {
        /// The address, without what is secret in it.
        url: String,
        /// The server's reason.
        why: String,
    },
    /// The server is older than what Hands counts on.
    TooOld {
        /// Its version.
        version: String,
    },
    /// The server does not keep messages.
    NoJetStream {
        /// Its reason.
        why: String,
    },
    /// The server did not do what was asked of it.
    Server {
        /// What was asked.
        what: String,
        /// The reason.
        why: String,
    },
    /// A name has characters that no name may have, or none.
    Name {
        /// The name.
        name: String,
    },
    /// The system refused a thread, or a file could not be read.
    System {
        /// What, and why.
        why: String,
    },
}

impl ClusterError {
    pub(crate) fn server(what: &str, why: impl fmt::Display) -> ClusterError {
        ClusterError::Server {
            what: what.to_owned(),
            why: why.to_string(),
        }
    }
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::Address { why } => write!(
                f,
                "the address of the cluster cannot be used: {why}; write it as `nats://host:4222`"
            ),
            ClusterError::Connect { url, why } => write!(
                f,
                "cannot connect to `{url}`: {why}; start a server there with `nats-server -js`, or correct the address"
            ),
            ClusterError::Refused { url, why } => write!(
                f,
                "`{url}` refuses this program: {why}; give the token, the user and password, the key or the credentials that it expects"
            ),
            ClusterError::TooOld { version } => write!(
                f,
                "the server is version {version}, which silently ignores what Hands counts on; run version 2.11 or later"
            ),
            ClusterError::NoJetStream { why } => write!(
                f,
                "the server does not keep messages ({why}); start it with `-js`"
            ),
            ClusterError::Server { what, why } => write!(f, "the server did not {what}: {why}"),
            ClusterError::Name { name } => write!(
                f,
                "`{name}` cannot be the name of a pool or a queue; use 1 to 64 letters, digits, `-` and `_`"
            ),
            ClusterError::System { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for ClusterError {}

hands::debug_is_sentence!(ClusterError);
