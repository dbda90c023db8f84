//! How to reach a cluster: an address that everybody may see, and secrets that nobody sees.
//!
//! Command lines can be read by everybody on a machine, and are kept in histories and logs. So no
//! secret stands there: it comes from a file, or from the environment, which is its owner's alone
//! and is not handed on to jobs.

use std::path::PathBuf;

use super::TOKEN;

/// What is to be known of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessPlan {
    pub(crate) url: String,
    pub(crate) pool: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) insecure: bool,
}

/// An address without its secret, and the secret.
struct Address {
    url: String,
    is_encrypted: bool,
    is_loopback: bool,
}

fn address(text: &str) -> Result<Address, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("nats", text),
    };
    if !matches!(scheme, "nats" | "tls") {
        return Err(format!(
            "`{scheme}://` is no address of a cluster\n  hint: nats://HOST:4222, or tls://HOST:4222"
        ));
    }
    let rest = rest.trim_end_matches('/');
    if rest.contains('@') {
        return Err(format!(
            "the address has a secret in it, which everybody on this machine could read in the list of processes\n  hint: put the token into {TOKEN}, or into a file for `--token-file`"
        ));
    }
    let host = match rest.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return Err("the address has no host\n  hint: nats://HOST:4222".to_owned());
    }
    let is_loopback = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    Ok(Address {
        url: format!("{scheme}://{rest}"),
        is_encrypted: scheme == "tls",
        is_loopback,
    })
}

/// The first line of a file that nobody else can read.
fn secret(path: &std::path::Path) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let wrong = |error: std::io::Error| format!("`--token-file {}`: {error}", path.display());
    let mode = std::fs::metadata(path).map_err(wrong)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "`--token-file {}`: others can read it\n  hint: chmod 600 {}",
            path.display(),
            path.display()
        ));
    }
    let text = std::fs::read_to_string(path).map_err(wrong)?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(format!("`--token-file {}` is empty", path.display())),
    }
}

/// What of the plan is handed to the library, by one method for both of its builders.
pub(crate) struct OpenedAccess {
    pub(crate) url: String,
    pub(crate) pool: String,
    pub(crate) token: Option<String>,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) root_certificates: Option<PathBuf>,
}

impl AccessPlan {
    /// The address, and the secrets that go with it.
    pub(crate) fn resolve(&self) -> Result<OpenedAccess, String> {
        let address = address(&self.url)?;
        let is_encrypted = address.is_encrypted || self.root_certificates.is_some();
        if !address.is_loopback && !is_encrypted && !self.insecure {
            return Err(format!(
                "{} is on another machine, and the way there is not encrypted: whoever is on it could read and change what runs\n  hint: tls://…, or `--insecure` where the network is trusted",
                address.url
            ));
        }
        let token = match &self.token_file {
            Some(file) => Some(secret(file)?),
            None => std::env::var(TOKEN).ok().filter(|token| !token.is_empty()),
        };
        Ok(OpenedAccess {
            url: address.url,
            pool: self.pool.clone().unwrap_or_else(|| "jobs".to_owned()),
            token,
            credentials: self.credentials.clone(),
            root_certificates: self.root_certificates.clone(),
        })
    }
}

/// The builder with all that opens the cluster's door.
macro_rules! with_access {
    ($builder:expr, $access:expr) => {{
        let (mut builder, access) = ($builder.pool(&$access.pool), &$access);
        if let Some(token) = &access.token {
            builder = builder.token(token.clone());
        }
        if let Some(file) = &access.credentials {
            builder = builder.credentials(file);
        }
        if let Some(file) = &access.root_certificates {
            builder = builder.root_certificates(file).require_tls();
        }
        builder
    }};
}
pub(crate) use with_access;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let plan = AccessPlan {
            url: url.to_owned(),
            ..AccessPlan::default()
        };
        plan.resolve().err().unwrap_or_default()
    }

    #[test]
    fn no_secret_may_stand_in_an_address() {
        for url in [
            "nats://s3cret@localhost",
            "nats://u:s3cret@localhost",
            "s3cret@localhost",
        ] {
            let why = refused(url);
            assert!(why.contains("secret") && !why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn another_machine_is_reached_by_an_encrypted_way_unless_said_otherwise() {
        assert!(refused("nats://10.0.0.1:4222").contains("--insecure"));
        assert!(refused("nats://127.0.0.1.evil.example").contains("--insecure"));
        for good in [
            "nats://127.0.0.1:4222",
            "localhost",
            "nats://[::1]:4222",
            "tls://far.example",
        ] {
            assert_eq!(refused(good), "", "{good}");
        }
        for bad in ["", "http://localhost", "nats://", "nats://:4222"] {
            assert!(!refused(bad).is_empty(), "{bad}");
        }
    }
}
