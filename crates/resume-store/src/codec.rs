//! How values look at rest: small pieces of text inside, a frame with a checksum outside.

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Fingerprint, Record};

/// A record on its way to or from the disk.
///
/// ```text
/// magic 4 | version 1 | sequence 8 | fingerprint 32 | length 4 | record as JSON, or nothing | CRC-32 of all before 4
/// ```
///
/// The frame says whose it is and how new it is, so that it can be told from its neighbours in the
/// raw bytes of a damaged database. Integers are little-endian.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    pub(crate) fingerprint: Fingerprint,
    /// `None` after a removal. The mark is kept until the database is next rewritten, so that
    /// outdated bytes in a damaged one are not taken for a record.
    pub(crate) record: Option<Record>,
}

impl Frame {
    /// The bytes to store.
    pub(crate) fn encode(&self) -> Vec<u8> {
        Sealed::new(self.sequence, self.fingerprint, self.record.as_ref()).bytes
    }

    /// Reads the frame that `bytes` begin with, and how long it is. `None` when it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (frame, length) = Sealed::read(bytes)?;
        Some((frame.open()?, length))
    }
}

/// A frame as it lies at rest: its checksum holds, its record was not looked at.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) sequence: u64,
    pub(crate) fingerprint: Fingerprint,
    bytes: Vec<u8>,
}

impl Sealed {
    /// Without a record it is the mark of a removal.
    pub(crate) fn new(sequence: u64, fingerprint: Fingerprint, record: Option<&Record>) -> Self {
        let mut bytes = Vec::with_capacity(if record.is_some() { USUAL } else { HEAD + CRC });
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(fingerprint.as_bytes());
        bytes.extend_from_slice(&[0; 4]);
        // JSON, not a compact binary format: fields may be added without a new version, and what
        // is salvaged from a damaged database can be read by a person.
        if record.is_some_and(|record| serde_json::to_writer(&mut bytes, record).is_err()) {
            bytes.truncate(HEAD);
        }
        let length = u32::try_from(bytes.len() - HEAD).unwrap_or(u32::MAX);
        bytes[HEAD - 4..HEAD].copy_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        // Many are kept in memory.
        bytes.shrink_to_fit();
        Self {
            sequence,
            fingerprint,
            bytes,
        }
    }

    /// Appends to `bytes` what may be the frame that `source` goes on with; it is to be
    /// [read](Self::read) from there.
    pub(crate) fn copy(source: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
        source.take(HEAD as u64).read_to_end(bytes)?;
        if let Some(length) = bytes.last_chunk::<4>().filter(|_| bytes.len() == HEAD) {
            let rest = u64::from(u32::from_le_bytes(*length)) + CRC as u64;
            source.take(rest).read_to_end(bytes)?;
        }
        Ok(())
    }

    /// Reads the frame that `bytes` begin with, and how long it is. `None` when it is damaged.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let body = bytes.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        let (sequence, body) = body.split_first_chunk::<8>()?;
        let (fingerprint, body) = body.split_first_chunk::<32>()?;
        let (length, body) = body.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let crc = body.get(length..)?.first_chunk::<CRC>()?;
        if crc32fast::hash(&bytes[..HEAD + length]) != u32::from_le_bytes(*crc) {
            return None;
        }
        let whole = HEAD + length + CRC;
        let frame = Self {
            sequence: u64::from_le_bytes(*sequence),
            fingerprint: Fingerprint::from_bytes(*fingerprint),
            bytes: bytes[..whole].to_vec(),
        };
        Some((frame, whole))
    }

    /// What is in it; `None` if that makes no sense.
    pub(crate) fn open(&self) -> Option<Frame> {
        let record = match &self.bytes[HEAD..self.bytes.len() - CRC] {
            [] => None,
            json => Some(serde_json::from_slice(json).ok()?),
        };
        Some(Frame {
            sequence: self.sequence,
            fingerprint: self.fingerprint,
            record,
        })
    }

    /// Whether there is a record in it; it is the mark of a removal otherwise.
    pub(crate) fn has_record(&self) -> bool {
        self.bytes.len() > HEAD + CRC
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().flat_map(digits));
    text
}

/// The `N` bytes that `2 * N` hexadecimal digits stand for.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// Milliseconds since 1970, negative before.
pub(crate) fn to_millis(time: SystemTime) -> i64 {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    }
}

/// The time that [`to_millis`] wrote; an absurd one becomes 1970.
pub(crate) fn from_millis(millis: i64) -> SystemTime {
    let span = Duration::from_millis(millis.unsigned_abs());
    let time = if millis < 0 {
        UNIX_EPOCH.checked_sub(span)
    } else {
        UNIX_EPOCH.checked_add(span)
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// `#[serde(with = "hex32")]`: 32 bytes as text.
pub(crate) mod hex32 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::hex(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(d)?;
        super::from_hex(&text).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))
    }
}

/// `#[serde(with = "maybe_hex16")]`: 16 bytes as text, which may be absent.
pub(crate) mod maybe_hex16 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<[u8; 16]>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| super::hex(bytes)).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<[u8; 16]>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        let parse = |text: String| {
            super::from_hex(&text).ok_or_else(|| D::Error::custom("not 32 hexadecimal digits"))
        };
        text.map(parse).transpose()
    }
}

/// `#[serde(with = "millis")]`: wall-clock time as milliseconds since 1970.
pub(crate) mod millis {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(super::to_millis(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SystemTime, D::Error> {
        i64::deserialize(d).map(super::from_millis)
    }
}

/// `#[serde(with = "maybe_millis")]`: the same for a time that may be absent.
pub(crate) mod maybe_millis {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(super::to_millis).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<i64>::deserialize(d)?.map(super::from_millis))
    }
}

/// `#[serde(with = "secret_url")]`: an upload URL in full. The only place where one is written.
pub(crate) mod secret_url {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tus_core::UploadUrl;

    pub(crate) fn serialize<S: Serializer>(
        url: &Option<UploadUrl>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        url.as_ref().map(UploadUrl::expose).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<UploadUrl>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| UploadUrl::parse(&text))
            .transpose()
            .map_err(D::Error::custom)
    }
}

/// What every frame begins with.
pub(crate) const MAGIC: &[u8; 4] = b"\xf1rR\x0a";
const VERSION: u8 = 1;
/// Bytes before the record: magic, version, sequence, fingerprint, length.
const HEAD: usize = 4 + 1 + 8 + 32 + 4;
const CRC: usize = 4;
/// Room for a usual record.
const USUAL: usize = 1024;
