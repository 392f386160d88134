//! The client's process: how it begins, and what outlives it.

use crate::client::{Creation, Now, Start, Upload, UploadPlan};
use crate::length::UploadLength;
use crate::sim::options::{Beginning, Options};
use crate::sim::site::{ENDPOINT, Site};
use crate::url::UploadUrl;

/// What a client's process would keep on its disk.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Nothing,
    Intent,
    Upload { url: UploadUrl, offset: u64 },
}

/// An upload that an earlier process left.
pub(super) fn planted(
    site: &mut Site,
    stored: u64,
    recorded: u64,
    options: &Options,
    base: Now,
) -> Record {
    let url = site.plant(stored, options.wishes.deferred, base.wall);
    let url = UploadUrl::parse(&url).expect("our own URL is one");
    Record::Upload {
        url,
        offset: recorded,
    }
}

/// The client that begins with a record. `life` counts the ones before it.
pub(super) fn client(options: &Options, record: &Record, life: u64) -> Upload {
    let endpoint = UploadUrl::parse(ENDPOINT).expect("our own URL is one");
    let creation = Creation::new(endpoint);
    let again = (options.beginning != Beginning::OneTimeUrl).then_some(creation.clone());
    let wishes = options.wishes;
    let length = if wishes.deferred {
        UploadLength::Deferred
    } else {
        UploadLength::Known(options.length)
    };
    let plan = match record {
        Record::Nothing => UploadPlan::create(creation, length),
        Record::Intent => UploadPlan::create(creation, length).with_start(Start::Doubt),
        Record::Upload { url, offset } => UploadPlan::resume(url.clone(), again, length)
            .with_start(Start::Resume {
                url: url.clone(),
                offset: *offset,
                reached: 0,
            }),
    };
    let offered = wishes.informed.then(|| options.habits.capabilities());
    Upload::new(
        plan.with_chunk_rule(options.rule)
            .with_chunk_bytes(Some(options.chunk_bytes))
            .with_retry(options.retry.with_answer_wait(options.answer_timeout))
            .with_capabilities(offered)
            // A one-time URL comes without anybody to ask.
            .with_probe(wishes.probe && options.beginning != Beginning::OneTimeUrl)
            .with_checksum(wishes.checksum)
            .with_one_request_bytes(wishes.one_request_bytes)
            .with_method_override(wishes.method_override)
            .with_seed(options.seed ^ life),
    )
}
