//! How a mishap befalls a request: what is put under way for it.

use std::time::Duration;

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Response};

use crate::client::{Exchange, Fault, VerdictKind};
use crate::header;
use crate::rejection::Phase;
use crate::sim::site::{ALIAS, status_of};
use crate::sim::world::{Answering, Body, Delivery, Happening, Heard, World};
use crate::sim::{Mishap, Random};

/// One request, and all that chance decides of it.
pub(super) struct Sending<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) number: u64,
    /// When the client stops waiting.
    pub(super) deadline: Duration,
    /// How long the body takes.
    pub(super) spread: Duration,
    /// What a proxy takes of a body.
    pub(super) body_limit: Option<u64>,
    pub(super) random: &'a mut Random,
    /// A byte of the body is flipped on the way.
    pub(super) damaged: bool,
}

impl Sending<'_> {
    /// Puts the request under way.
    pub(super) fn send(mut self, mishap: Option<Mishap>, world: &mut World) {
        let Some(mishap) = mishap else {
            return self.unharmed(world);
        };
        let broken = Heard::Fault(Fault::MaybeSent);
        let patch = self.exchange.phase == Phase::Patch;
        let len = self.exchange.chunk.map_or(0, |chunk| chunk.len);
        match mishap {
            Mishap::AnswerLost => {
                let wait = self.deliver(world, Body::Whole, Answering::Lost);
                self.hears(world, wait, broken);
            }
            Mishap::Busy => self.instead(world, answer(423)),
            Mishap::Cut | Mishap::HalfOpen => {
                let noticed = if mishap == Mishap::Cut {
                    self.random.millis(0, 500)
                } else {
                    self.random.millis(1_000, 600_000)
                };
                let after = self.random.below(len + 1);
                let body = Body::Cut { after, noticed };
                let wait = self.deliver(world, body, Answering::Lost);
                self.hears(world, wait, broken);
            }
            Mishap::Damaged if self.exchange.checksum.is_some() => {
                self.damaged = true;
                self.deliver(world, Body::Whole, Answering::Sent);
            }
            Mishap::Damaged => self.instead(world, answer(460)),
            Mishap::Duplicate => {
                let later = self.random.millis(0, 120_000);
                let again = self.delivery(world, Body::Whole, Answering::Lost);
                let nobody = Delivery {
                    exchange: 0,
                    ..again
                };
                world.after(later, Happening::Arrives(Box::new(nobody)));
                self.unharmed(world);
            }
            Mishap::FarAway => {
                let status = self.random.pick(&[429, 503]);
                let wish = self.random.within(86_400, u64::MAX);
                self.instead(world, with(answer(status), wish.to_string()));
            }
            Mishap::Full => {
                let status = self.random.pick(&[400, 403, 413, 429]);
                let kind = self
                    .random
                    .pick(&[VerdictKind::QueueFull, VerdictKind::StorageFull]);
                let mut full = self.perhaps_later(world, answer(status));
                full.extensions_mut().insert(kind);
                self.instead(world, full);
            }
            Mishap::Idle => {
                let start = self.exchange.chunk.map_or(0, |chunk| chunk.start);
                let mut idle = answer(204);
                idle.headers_mut()
                    .insert(header::UPLOAD_OFFSET, header::from_integer(start));
                self.instead(world, idle);
            }
            Mishap::Judged => {
                let status = self.random.pick(&[400, 401, 403, 404, 409, 410, 413]);
                let kind = self.random.pick(&[
                    VerdictKind::AlreadyUsed,
                    VerdictKind::Expired,
                    VerdictKind::Gone,
                    VerdictKind::Login,
                    VerdictKind::NotAVideo,
                    VerdictKind::TooLarge,
                ]);
                let mut judged = answer(status);
                judged.extensions_mut().insert(kind);
                self.instead(world, judged);
            }
            Mishap::Late => {
                let late = self.random.millis(1, 300_000);
                let delivery = self.delivery(world, Body::Whole, Answering::Lost);
                let wait = self.deadline.saturating_sub(world.time) + late;
                world.after(wait, Happening::Arrives(Box::new(delivery)));
            }
            Mishap::Lost => {
                let status = self.random.pick(&[404, 410]);
                self.instead(world, answer(status));
            }
            Mishap::Nonsense => {
                let seed = self.random.draw();
                self.deliver(world, Body::Whole, Answering::Garbled(seed));
            }
            Mishap::Permanent => {
                let status = self
                    .random
                    .pick(&[400, 401, 403, 405, 412, 415, 431, 501, 418]);
                self.instead(world, answer(status));
            }
            Mishap::Portal => {
                let mut page = Response::new(());
                let html = HeaderValue::from_static("text/html; charset=utf-8");
                page.headers_mut().insert(CONTENT_TYPE, html);
                self.instead(world, page);
            }
            Mishap::ProxyFailed => {
                let status = self.random.pick(&[502, 504]);
                let instead = self.perhaps_later(world, Response::new(()));
                let instead = with_status(instead, status);
                self.deliver(world, Body::Whole, Answering::Replaced(instead));
            }
            Mishap::Redirected => {
                world.alias_until = world.time + self.random.millis(0, 60_000);
                let status = self.random.pick(&[307, 308]);
                let path = self.exchange.url.uri().path();
                let target = HeaderValue::try_from(format!("https://{ALIAS}{path}"));
                let mut redirect = answer(status);
                if let Ok(target) = target {
                    redirect.headers_mut().insert(LOCATION, target);
                }
                self.instead(world, redirect);
            }
            Mishap::Refused => {
                let patience = self.deadline.saturating_sub(world.time) / 2;
                let wait = self.random.millis(1, 10_000).min(patience);
                self.hears(world, wait, Heard::Fault(Fault::NotSent));
            }
            Mishap::RequestLost => {
                let wait = self.random.millis(1, 2_000);
                self.hears(world, wait, broken);
            }
            Mishap::Silence => {
                self.deliver(world, Body::Whole, Answering::Lost);
            }
            Mishap::Stale => {
                let seed = self.random.draw();
                self.deliver(world, Body::Whole, Answering::Stale(seed));
            }
            Mishap::Storm => {
                let status = self
                    .random
                    .pick(&[500, 502, 503, 504, 520, 522, 530, 408, 425]);
                let refusal = self.perhaps_later(world, answer(status));
                self.instead(world, refusal);
            }
            Mishap::TimedOut => {
                let after = self.random.below(len + 1);
                let noticed = self.random.millis(0, 2_000);
                let body = Body::Cut { after, noticed };
                self.deliver(world, body, Answering::Replaced(answer(408)));
            }
            Mishap::TooMany => {
                let refusal = self.perhaps_later(world, answer(429));
                self.instead(world, refusal);
            }
            Mishap::Untrusted => {
                debug_assert!(patch || len == 0 || self.exchange.phase == Phase::Create);
                let wait = self.random.millis(1, 200);
                self.hears(world, wait, Heard::Fault(Fault::Permanent));
            }
        }
    }

    /// Nothing befalls it, but a proxy may still find it too large.
    fn unharmed(&mut self, world: &mut World) {
        let len = self.exchange.chunk.map_or(0, |chunk| chunk.len);
        match self.body_limit {
            Some(limit) if len > limit => {
                // Most senders hear the early answer; some only see the connection break.
                if self.random.chance(700) {
                    self.instead(world, answer(413));
                } else {
                    let wait = self.random.millis(1, 500);
                    self.hears(world, wait, Heard::Fault(Fault::MaybeSent));
                }
            }
            _ => {
                self.deliver(world, Body::Whole, Answering::Sent);
            }
        }
    }

    fn delivery(&mut self, world: &mut World, body: Body, answering: Answering) -> Delivery {
        let mut head = self.exchange.head();
        let trailers = self.protect(world, head.headers_mut());
        Delivery {
            exchange: self.number,
            connection: world.number(),
            head,
            trailers,
            damaged: self.damaged,
            chunk: self.exchange.chunk,
            body,
            answering,
            spread: self.spread,
        }
    }

    /// Attaches the digest that the machine asks for: in the head, or behind the body.
    fn protect(&mut self, world: &World, headers: &mut HeaderMap) -> Option<HeaderMap> {
        let (algorithm, chunk) = (self.exchange.checksum?, self.exchange.chunk?);
        let mut digester = algorithm.digester();
        digester.update(world.bytes(chunk));
        let digest = digester.finish().to_header();
        if !self.exchange.checksum_trailer || self.random.chance(300) {
            headers.insert(header::UPLOAD_CHECKSUM, digest);
            return None;
        }
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.insert(TRAILER, HeaderValue::from_static("Upload-Checksum"));
        Some(HeaderMap::from_iter([(header::UPLOAD_CHECKSUM, digest)]))
    }

    /// Lets it arrive; a time by which its body has left.
    fn deliver(&mut self, world: &mut World, body: Body, answering: Answering) -> Duration {
        let wait = self.random.millis(1, 200);
        let delivery = self.delivery(world, body, answering);
        world.after(wait, Happening::Arrives(Box::new(delivery)));
        wait + self.spread + Duration::from_millis(1)
    }

    /// Somebody on the way answers; the server hears nothing of it.
    fn instead(&mut self, world: &mut World, answer: Response<()>) {
        let wait = self.random.millis(2, 400);
        self.hears(world, wait, Heard::Answer(answer));
    }

    fn hears(&self, world: &mut World, wait: Duration, heard: Heard) {
        world.hears(wait, self.number, heard);
    }

    /// With a `Retry-After`, perhaps: seconds, a date of the server's clock, or garbage.
    fn perhaps_later(&mut self, world: &World, answer: Response<()>) -> Response<()> {
        let seconds = self.random.below(60);
        let text = match self.random.below(6) {
            0 => seconds.to_string(),
            1 => {
                let date = header::from_time(world.wall() + Duration::from_secs(seconds));
                date.to_str().unwrap_or_default().to_owned()
            }
            2 => self
                .random
                .pick(&["-1", "soon", "1e9", "", "99999999999999999999"])
                .to_owned(),
            _ => return answer,
        };
        with(answer, text)
    }
}

fn answer(status: u16) -> Response<()> {
    let mut answer = with_status(Response::new(()), status);
    answer
        .headers_mut()
        .insert(header::TUS_RESUMABLE, header::VERSION);
    answer
}

fn with_status(mut answer: Response<()>, status: u16) -> Response<()> {
    *answer.status_mut() = status_of(status);
    answer
}

fn with(mut answer: Response<()>, retry_after: String) -> Response<()> {
    if let Ok(value) = HeaderValue::try_from(retry_after) {
        answer.headers_mut().insert(RETRY_AFTER, value);
    }
    answer
}
