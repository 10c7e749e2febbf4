//! Digests: texts compared by one value.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::normal;

/// SHA-256 of a plugin's normal text (see [`normal()`](normal::normal)), so that the file, the server's row and the
/// ledger compare by one value. For a file that is not UTF-8, of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests a text that is normal already, or bytes that have no normal text.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digests a text from either side, by its normal form.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::of(normal::normal(text).as_bytes())
    }

    /// The first 12 hexadecimal digits: enough to tell versions of one plugin apart in a log or a file name.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let byte = |at| {
            let digits = text.get(at..at + 2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            u8::from_str_radix(digits, 16).ok()
        };
        let bytes: Option<Vec<_>> = (0..text.len()).step_by(2).map(byte).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("a digest is 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_json() {
        let digest = Digest::of(b"abc");
        let text = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(serde_json::to_string(&digest).unwrap(), text);
        assert_eq!(serde_json::from_str::<Digest>(text).unwrap(), digest);
        assert_eq!(digest.short(), "ba7816bf8f01");
        assert_eq!(format!("{digest:?}"), "Digest(ba7816bf8f01)");
        for broken in [text.replace('b', "g"), text.replace("ad\"", "\""), text.replace("ba", "+b"), "\"é\"".to_owned()]
        {
            assert!(serde_json::from_str::<Digest>(&broken).is_err(), "{broken}");
        }
    }
}
