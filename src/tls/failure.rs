//! Classes of failed handshakes, for log and metric.

use rustls::{AlertDescription, Error, PeerIncompatible};

/// The class of `error` on the server's side: a few words, each with its own remedy.
pub(super) fn class(error: &Error) -> &'static str {
    match error {
        Error::PeerIncompatible(reason) => incompatible(reason),
        Error::NoApplicationProtocol => "no_shared_alpn",
        Error::AlertReceived(alert) => alerted(*alert),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => "broken",
        _ => "internal",
    }
}

fn incompatible(reason: &PeerIncompatible) -> &'static str {
    use PeerIncompatible as Reason;
    match reason {
        Reason::Tls12NotOffered
        | Reason::Tls12NotOfferedOrEnabled
        | Reason::ServerDoesNotSupportTls12Or13
        | Reason::ServerTlsVersionIsDisabledByOurConfig
        | Reason::SupportedVersionsExtensionRequired => "no_shared_version",
        Reason::NoCipherSuitesInCommon => "no_shared_cipher",
        Reason::NoKxGroupsInCommon
        | Reason::NamedGroupsExtensionRequired
        | Reason::KeyShareExtensionRequired
        | Reason::NoEcPointFormatsInCommon
        | Reason::UncompressedEcPointsRequired
        | Reason::EcPointsExtensionRequired => "no_shared_group",
        Reason::NoSignatureSchemesInCommon | Reason::SignatureAlgorithmsExtensionRequired => {
            "no_shared_signature"
        }
        _ => "incompatible",
    }
}

/// Alerts about the certificate are the operator's matter; others are the client's.
fn alerted(alert: AlertDescription) -> &'static str {
    use AlertDescription as Alert;
    match alert {
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::CertificateUnknown => "certificate_refused",
        _ => "client_alert",
    }
}
