//! [`Habits`]: how a server behaves where the text leaves a choice, and against the text.

use std::time::Duration;

use crate::checksum::ChecksumAlgorithm;
use crate::chunk::{Chunk, ChunkRule};
use crate::extension::{Extension, Extensions, ServerCapabilities};
use crate::sim::Random;

/// What a server does where the text leaves a choice, and what servers do against the text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Habits {
    /// What it offers.
    pub offers: Extensions,
    /// Bytes count only when the whole body of a PATCH has come.
    pub atomic: bool,
    /// What is told is durable. Otherwise a fall may take back what was told, until the upload is complete.
    pub durable: bool,
    /// What happens when a second request comes for an upload that is being written.
    pub locks: Locks,
    /// Bytes at most that are taken of one PATCH.
    pub bites: Option<u64>,
    /// Unfinished uploads expire after this.
    pub expires_after: Option<Duration>,
    /// Expired uploads are answered with 404 instead of 410.
    pub buries: bool,
    /// HEAD on a complete upload is answered with this status.
    pub forgets_finished: Option<u16>,
    /// A proxy refuses larger bodies with 413, early.
    pub body_limit: Option<u64>,
    /// It leaves out `Tus-Resumable`.
    pub versionless: bool,
    /// What it wants of a chunk beyond tus; anything else is answered with 400.
    pub grid: Option<Grid>,
    /// It says in the body what it means, at times against the status.
    pub words: bool,
}

/// A server that counts in units. The last chunk of an upload is exempt from what concerns its length and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grid {
    /// Bytes of a unit.
    pub unit: u64,
    /// What has to be a multiple of it.
    pub wants: Wants,
}

/// What has to be a multiple of a server's unit: guesses about one sentence of its documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wants {
    /// A chunk's length.
    Length,
    /// The offset at which it begins, and its length.
    Start,
    /// As [`Start`](Self::Start), but the last chunk may begin anywhere.
    StartUnlessLast,
    /// The offset at which it ends.
    End,
}

impl Grid {
    /// Whether a chunk of an upload of `length` bytes is taken.
    pub(super) fn takes(self, chunk: Chunk, length: u64) -> bool {
        let whole = |bytes: u64| bytes.is_multiple_of(self.unit.max(1));
        let last = chunk.end() == length;
        match self.wants {
            Wants::Length => last || whole(chunk.len),
            Wants::Start => whole(chunk.start) && (last || whole(chunk.len)),
            Wants::StartUnlessLast => last || (whole(chunk.start) && whole(chunk.len)),
            Wants::End => last || whole(chunk.end()),
        }
    }
}

/// What happens when a second request comes for an upload that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Locks {
    /// 423 to everybody.
    All,
    /// 423 to another PATCH; HEAD is answered while bytes come in.
    Writers,
    /// The new request wins: the old one is ended with the bytes that it brought.
    Steal,
}

impl Habits {
    /// What it says of itself.
    pub(super) fn capabilities(&self) -> ServerCapabilities {
        ServerCapabilities {
            extensions: self.offers,
            max_size_bytes: None,
            checksum_algorithms: ChecksumAlgorithm::ALL.to_vec(),
        }
    }

    pub(super) fn draw(
        random: &mut Random,
        survivable: bool,
        rule: &ChunkRule,
        length: u64,
    ) -> Self {
        let mut limit = random
            .chance(150)
            .then(|| random.within(length / 8, length));
        if survivable {
            // Without a rule, sources as small as ours cannot be halved.
            let halves = rule.min_bytes > 1 || rule.multiple_of_bytes > 1;
            limit = limit.filter(|_| halves).map(|limit| limit.max(rule.fit(0)));
        }
        let offered = [
            Extension::Checksum,
            Extension::ChecksumTrailer,
            Extension::CreationDeferLength,
            Extension::CreationWithUpload,
            Extension::Termination,
        ];
        let offers = offered.into_iter().filter(|_| random.chance(700));
        Self {
            offers: offers
                .chain([Extension::Creation, Extension::Expiration])
                .collect(),
            atomic: random.chance(300),
            durable: random.chance(600),
            locks: random.pick(&[Locks::All, Locks::Writers, Locks::Steal]),
            bites: random
                .chance(150)
                .then(|| random.within(length / 16, length).max(1)),
            expires_after: (!survivable && random.chance(200))
                .then(|| random.millis(10_000, 3_600_000)),
            buries: random.chance(500),
            forgets_finished: random
                .chance(200)
                .then(|| random.pick(&[404, 410, 403, 401, 400, 405])),
            body_limit: limit,
            versionless: random.chance(100),
            grid: (rule.multiple_of_bytes > 1 && random.chance(500)).then(|| Grid {
                unit: rule.multiple_of_bytes,
                wants: random.pick(&[
                    Wants::Length,
                    Wants::Start,
                    Wants::StartUnlessLast,
                    Wants::End,
                ]),
            }),
            words: random.chance(400),
        }
    }

    /// Where nothing may end the upload, no offset comes about from which there is no way on but to begin anew.
    pub(super) fn keep_promise(&mut self, rule: &ChunkRule) {
        let Some(grid) = self.grid else { return };
        let no_way_on = match grid.wants {
            Wants::Length => false,
            Wants::Start | Wants::StartUnlessLast => true,
            // A chunk must be able to give or take what is odd.
            Wants::End => rule.min_bytes == rule.max_bytes || self.body_limit.is_some(),
        };
        if no_way_on {
            self.atomic = true;
            self.bites = None;
        }
    }
}
