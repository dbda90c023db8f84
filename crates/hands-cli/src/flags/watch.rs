//! Flags about watching what happens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Watching")]
pub(crate) struct WatchFlags {
    /// Serve a page that shows and steers it; ADDR is a port or IP:PORT
    ///
    /// On this machine alone, unless ADDR says otherwise. The link is told on stderr; it has a
    /// token, without which nobody gets in. At an address such as `0.0.0.0:8080` others can reach
    /// it, and as it is not encrypted, those who can read the network can read it all.
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        value_parser = address
    )]
    pub(crate) web: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let named = text
        .strip_prefix("localhost:")
        .map(|port| port.parse::<u16>());
    if let Some(Ok(port)) = named {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is neither a port nor an address with a port: write `--web=8080` or `--web=127.0.0.1:8080`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_an_address_or_nothing() {
        let own = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        for (text, is) in [
            ("0", own(0)),
            ("8080", own(8080)),
            (":8080", own(8080)),
            ("localhost:1", own(1)),
        ] {
            assert_eq!(address(text), Ok(is), "{text}");
        }
        assert!(address("0.0.0.0:8080").is_ok() && address("[::1]:8080").is_ok());
        for text in [
            "",
            "70000",
            "-1",
            "example.org:80",
            "127.0.0.1",
            "::1",
            "80 ",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
