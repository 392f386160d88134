//! The alignment ladder.
//!
//! A [`ChunkRule`](crate::ChunkRule) is about lengths. Whether a server that counts in units also wants chunks to begin or to
//! end at one, it need not say, and the question comes up only after a broken PATCH left the offset between two of them. So
//! when a chunk that keeps the rule is refused there with 400, and HEAD confirms the offset, other cuts are tried, each once:
//! a chunk that ends at a unit, then all that is left as one last chunk, then the upload anew. What is taken is used
//! from then on.

use http::Response;

use super::doubt::Refusal;
use super::event::{Event, Realignment};
use super::failure::Failure;
use super::step::{Next, Now};
use super::upload::Upload;
use super::verdict::Verdict;
use super::waiting::overruled;
use crate::chunk::Chunk;
use crate::header;
use crate::rejection::{Advice, Phase, advice};

impl Upload {
    /// Whether the offset lies between two units of the server's rule.
    pub(super) fn is_misaligned(&self) -> bool {
        !self
            .offset
            .is_multiple_of(self.plan.chunk_rule.multiple_of_bytes.max(1))
    }

    /// Bytes of the next chunk, if that many are left.
    pub(super) fn cut_bytes(&self) -> u64 {
        self.realignment
            .filter(|_| self.is_misaligned())
            .and_then(|step| self.cut(step))
            .unwrap_or_else(|| self.wanted_bytes())
    }

    /// Bytes of a chunk from this offset that is cut otherwise, where that is possible within the other bounds.
    fn cut(&self, step: Realignment) -> Option<u64> {
        let rule = &self.plan.chunk_rule;
        let left = self.length.remaining(self.offset)?;
        let len = match step {
            Realignment::AlignedEnd => {
                rule.to_aligned_end(self.offset, left, self.wanted_bytes())?
            }
            Realignment::Rest => self.length.known().map(|_| left)?,
        };
        (len > 0 && len <= rule.max_bytes.min(self.chunk_cap)).then_some(len)
    }

    /// The offset was confirmed at which `chunk` was refused: the next step of the ladder.
    pub(super) fn realign(&mut self, chunk: Chunk, refusal: Refusal) {
        let steps = match self.realignment {
            None => &[Realignment::AlignedEnd, Realignment::Rest][..],
            Some(Realignment::AlignedEnd) => &[Realignment::Rest],
            Some(Realignment::Rest) => &[],
        };
        let next = steps
            .iter()
            .find_map(|step| Some((*step, self.cut(*step)?)).filter(|(_, len)| *len != chunk.len));
        if let Some((step, len)) = next {
            self.realignment = Some(step);
            self.events.push_back(Event::ChunkRealigned {
                step,
                chunk: Chunk {
                    start: self.offset,
                    len,
                },
            });
            return self.go(Next::Patch);
        }
        if self.can_recreate() {
            self.forsake(refusal.status);
            return self.go(Next::Discard);
        }
        let Refusal {
            phase,
            status,
            verdict,
            ..
        } = refusal;
        self.fail(Failure::Refused {
            phase,
            status,
            verdict,
        });
    }

    /// The answer to the DELETE of an upload that cannot be continued. One that asks to wait is waited out, any other is the
    /// last: another upload is made, whatever became of this.
    pub(super) fn discarded(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let status = head.status();
        let advice = overruled(
            advice(Phase::Terminate, status),
            Phase::Terminate,
            verdict.as_ref(),
        );
        let removed = status.is_success() && !header::is_html(head.headers());
        let later = matches!(
            advice,
            Advice::Throttled | Advice::Wait | Advice::WaitForLock
        );
        if !status.is_success() && (later || status.is_redirection()) {
            return self.refused(Phase::Terminate, head, verdict, now);
        }
        if !removed && advice != Advice::Gone {
            self.events.push_back(Event::PossibleOrphan);
        }
        self.begin_anew();
    }
}
