use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

/// The certificate that a [`Server`](crate::Server) presents in a TLS handshake.
///
/// All but the last two are issued by [`Certificate::ROOT`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Certificate {
    /// Issued by [`ROOT`](Self::ROOT), for `localhost`, `vendor.test` and `127.0.0.1`.
    Trusted,
    /// Issued by [`ROOT`](Self::ROOT), for `elsewhere.test` alone.
    OtherName,
    /// Issued by [`ROOT`](Self::ROOT), for the right names, and expired.
    Expired,
    /// Issued by a root that no client knows.
    UnknownRoot,
    /// Issued by itself.
    SelfSigned,
}

impl Certificate {
    /// The root certificate to trust, as PEM.
    pub const ROOT: &'static str = include_str!("certificates/root.pem");

    /// The private key of every server certificate, as PEM.
    pub const KEY: &'static str = include_str!("certificates/key.pem");

    /// Returns the certificate as PEM.
    #[must_use]
    pub const fn pem(self) -> &'static str {
        match self {
            Self::Trusted => include_str!("certificates/trusted.pem"),
            Self::OtherName => include_str!("certificates/other_name.pem"),
            Self::Expired => include_str!("certificates/expired.pem"),
            Self::UnknownRoot => include_str!("certificates/unknown_root.pem"),
            Self::SelfSigned => include_str!("certificates/self_signed.pem"),
        }
    }

    pub(crate) fn acceptor(self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_slice(self.pem().as_bytes());
        let key = PrivateKeyDer::from_pem_slice(Self::KEY.as_bytes());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.expect("a certificate of ours")],
                key.expect("a key of ours"),
            )
            .expect("the key is the certificate's");
        TlsAcceptor::from(Arc::new(config))
    }
}
