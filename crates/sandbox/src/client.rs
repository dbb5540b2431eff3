//! The HTTP client for call-outs and delivery reports.

use std::{io, time::Duration};

use hyper::{Uri, http::uri::Scheme};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{error::SandboxError, record::short, vendor_request::VendorRequest};

/// The deadline of a request. Entra's own is two seconds at most, which a busy test machine can miss.
const DEADLINE: Duration = Duration::from_secs(10);

/// The URL of a request.
#[derive(Debug)]
pub(crate) struct Target {
    authority: String,
    address: (String, u16),
    path: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, SandboxError> {
        let wrong = || {
            SandboxError::new(format!(
                "invalid \"target\" {:?}: expected an http URL such as http://127.0.0.1:8080/callouts/lifecycle",
                short(url)
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme() != Some(&Scheme::HTTP) || authority.as_str().contains('@') {
            return Err(wrong());
        }
        Ok(Self {
            authority: authority.to_string(),
            address: (
                authority.host().trim_matches(['[', ']']).to_owned(),
                authority.port_u16().unwrap_or(80),
            ),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".into(), ToString::to_string),
        })
    }

    /// Sends a vendor's request, as [`send`](Self::send).
    pub(crate) async fn deliver(&self, request: &VendorRequest) -> Option<u16> {
        self.send(request.method, &request.headers, &request.body)
            .await
    }

    /// Sends a request, and returns the status of the response, or `None` where none came.
    pub(crate) async fn send(
        &self,
        method: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Option<u16> {
        time::timeout(DEADLINE, self.exchange(method, headers, body))
            .await
            .ok()?
            .ok()
    }

    async fn exchange(
        &self,
        method: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> io::Result<u16> {
        let (host, port) = &self.address;
        let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
        let mut request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.path, self.authority
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if method != "GET" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        stream
            .write_all(format!("{request}\r\n{body}").as_bytes())
            .await?;
        // `HTTP/1.1 202`: Entra and the vendors read only the status.
        let mut start = [0; 12];
        stream.read_exact(&mut start).await?;
        std::str::from_utf8(&start)
            .ok()
            .filter(|start| start.starts_with("HTTP/1."))
            .and_then(|start| start.get(9..)?.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Returns a URL without its fragment, which a client does not send.
pub(crate) fn without_fragment(url: &str) -> Result<&str, SandboxError> {
    let url = url.split('#').next().unwrap_or_default();
    let is_absolute = url.parse().is_ok_and(|uri: Uri| {
        uri.authority().is_some()
            && [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme())
    });
    if is_absolute {
        return Ok(url);
    }
    Err(SandboxError::new(format!(
        "invalid \"target\" {:?}: expected a URL such as https://hooks.example.com/reports",
        short(url)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_without_credentials_are_targets() {
        let target = Target::parse("http://[::1]:8080/callouts?a=b").unwrap();
        assert_eq!(target.address, ("::1".into(), 8080));
        assert_eq!(target.path, "/callouts?a=b");
        assert_eq!(target.authority, "[::1]:8080");
        for wrong in [
            "",
            "/callouts",
            "https://x.example/",
            "http://a:b@x.example/",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
