//! Reads the subject, the issuer and the public key of a certificate, for messages.
//!
//! This is a small DER parser, since webpki does not expose the issuer and rejects certificates of
//! version 1 (which `openssl x509 -req` creates, and servers accept from clients), and an X.509
//! library would add a dozen crates for three fields. Only webpki decides whether a certificate is
//! trusted.

/// Parts of a certificate, in DER.
pub struct Parts<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    key: &'a [u8],
}

/// DER tags.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;

/// The object identifiers of the parts of a name to show, best first: common name, organization.
const SHOWN: [&[u8]; 2] = [&[0x55, 0x04, 0x03], &[0x55, 0x04, 0x0a]];

impl<'a> Parts<'a> {
    /// Parses a certificate in DER.
    pub fn of(certificate: &'a [u8]) -> Option<Self> {
        let (whole, _) = value(certificate, SEQUENCE)?;
        let (signed, _) = value(whole, SEQUENCE)?;
        let rest = value(signed, VERSION).map_or(signed, |(_, rest)| rest);
        let (_, _, rest) = any(rest)?; // the serial number
        let (_, rest) = value(rest, SEQUENCE)?; // how it is signed
        let (issuer, rest) = value(rest, SEQUENCE)?;
        let (_, rest) = value(rest, SEQUENCE)?; // from when to when
        let (subject, rest) = value(rest, SEQUENCE)?;
        let (key, _) = value(rest, SEQUENCE)?;
        Some(Self {
            issuer,
            subject,
            key,
        })
    }

    /// Whether the certificate is for this public key (SubjectPublicKeyInfo).
    pub fn is_for(&self, key: &[u8]) -> bool {
        value(key, SEQUENCE).is_some_and(|(key, _)| key == self.key)
    }

    /// Whether subject and issuer are the same.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// The issuer, shortened.
    pub fn issuer(&self) -> Option<String> {
        SHOWN.iter().find_map(|wanted| part(self.issuer, wanted))
    }
}

/// The first part of a name with this object identifier.
fn part(mut name: &[u8], wanted: &[u8]) -> Option<String> {
    while let Some((set, rest)) = value(name, SET) {
        name = rest;
        let found = value(set, SEQUENCE)
            .and_then(|(pair, _)| value(pair, OBJECT))
            .filter(|(kind, _)| *kind == wanted)
            .and_then(|(_, text)| any(text));
        if let Some((_, text, _)) = found.filter(|(_, text, _)| !text.is_empty()) {
            return Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    None
}

/// The content of a value with this tag, and the bytes after the value.
fn value(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == kind).then_some((content, rest))
}

/// The tag and the content of a value, and the bytes after the value.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], mut rest) = bytes.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (long, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if long.len() > 3 {
            return None;
        }
        length = long
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        rest = behind;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["loki".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    #[test]
    fn the_issuer_is_read_and_compared() {
        let key = || KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params("Corp Root"), key()).unwrap();
        let names = Parts::of(issuer.der()).unwrap();
        assert!(names.is_self_signed());
        let signed = params("loki").signed_by(&key(), &issuer).unwrap();
        let names = Parts::of(signed.der()).unwrap();
        assert!(!names.is_self_signed());
        assert_eq!(names.issuer().as_deref(), Some("Corp Root"));
    }

    #[test]
    fn junk_is_no_certificate() {
        let issuer = CertifiedIssuer::self_signed(params("x"), KeyPair::generate().unwrap());
        let issuer = issuer.unwrap();
        let whole = issuer.der();
        for length in 0..whole.len() {
            assert!(Parts::of(&whole[..length]).is_none());
        }
        for junk in [
            &[0x30, 0x84, 255, 255, 255, 255][..],
            b"-----BEGIN",
            &[0x30, 0x80],
        ] {
            assert!(Parts::of(junk).is_none());
        }
    }
}
