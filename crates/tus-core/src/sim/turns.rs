//! One turn of [`Pair`]: a request and what comes of it, or a look into the source.

use crate::client::{Event, Exchange, Fault, Verdict, VerdictKind};
use crate::rejection::Phase;
use crate::sim::report::Breach;
use crate::sim::send::Sending;
use crate::sim::site::ALIAS;
use crate::sim::store::Record;
use crate::sim::world::Heard;
use crate::sim::{Mishap, Pair};

impl Pair {
    pub(super) fn exchange(&mut self, exchange: &Exchange) -> Result<(), Breach> {
        let time = self.world.time;
        self.writes_down(exchange);
        self.checker.agrees(self.client.offset())?;
        self.checker.sends(exchange, time)?;
        self.report.sent(exchange);
        let len = exchange.chunk.map_or(0, |chunk| chunk.len);
        let mishap = self
            .draw(exchange.phase, len > 0)
            .filter(|mishap| *mishap != Mishap::Redirected || !is_alias(exchange));
        let number = self.world.number();
        self.world.note(|| {
            let (method, chunk) = (exchange.method(), exchange.chunk);
            format!("client   sends {number}: {method} {chunk:?}, befallen by {mishap:?}")
        });
        let before = self.report.confirmations;
        let most = if len == 0 { 0 } else { 2_000 };
        let spread = self.random.millis(0, most);
        let factor = exchange.answer_factor;
        let deadline = time + spread + self.options.answer_timeout.saturating_mul(factor);
        Sending {
            exchange,
            number,
            deadline,
            spread,
            body_limit: self.options.habits.body_limit,
            random: &mut self.mishaps,
            damaged: false,
        }
        .send(mishap, &mut self.world);
        let crash = self.dies().then(|| time + self.random.millis(0, 3_000));
        let until = crash.map_or(deadline, |crash| crash.min(deadline));
        let heard = match self.world.pass(until, Some(number))? {
            Some(heard) => heard,
            None if crash == Some(until) => {
                self.crash();
                return Ok(());
            }
            None => Heard::Fault(Fault::NoAnswer),
        };
        if self.dies() {
            // Before it could write down what it heard.
            self.crash();
            return Ok(());
        }
        self.feed(exchange, &heard)?;
        let idle = self.report.confirmations == before;
        if idle && self.time_is_up() {
            self.idle_after_faults += 1;
            if self.checker.last_status == Some(423) {
                // Neither it nor the question that follows counts.
                self.idle_after_faults = self.idle_after_faults.saturating_sub(2);
            }
        }
        Ok(())
    }

    fn feed(&mut self, exchange: &Exchange, heard: &Heard) -> Result<(), Breach> {
        let now = self.now();
        self.checker
            .hears(exchange, heard, (self.world.time, now.wall));
        self.world.note(|| match heard {
            Heard::Answer(answer) => {
                let (status, headers) = (answer.status().as_u16(), answer.headers());
                format!("client   hears {status} {headers:?}")
            }
            Heard::Fault(fault) => format!("client   hears {fault:?}"),
        });
        match heard {
            Heard::Answer(answer) => {
                self.report.answered(answer.status());
                let kind = answer.extensions().get::<VerdictKind>();
                let verdict = kind.map(|kind| Verdict {
                    kind: Some(*kind),
                    code: None,
                    message: format!("{kind:?}"),
                });
                self.client.on_response(answer, verdict, now);
            }
            Heard::Fault(fault) => {
                self.report.faulted(*fault);
                self.client.on_fault(*fault, now);
            }
        }
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Result<(), Breach> {
        while let Some(event) = self.client.poll_event() {
            self.world.note(|| format!("client   tells {event:?}"));
            self.checker.happened(&event, self.world.time)?;
            self.report.happened(&event);
            match &event {
                Event::Created { url, .. } => self.store.commit(Record::Upload {
                    url: url.as_ref().clone(),
                    offset: 0,
                    reached: self.client.reached(),
                }),
                Event::Acked { offset } => {
                    self.store.note(*offset, self.client.reached());
                    // A journal merges: the newest offset need not be on the disk yet.
                    if self.random.chance(700) {
                        self.store.flush();
                    }
                }
                Event::Recreating { .. } => self.store.commit(Record::Intent),
                _ => {}
            }
            if let (Event::Acked { offset }, Some(window)) = (&event, self.options.window_bytes) {
                let from = offset.saturating_sub(window);
                self.client.forget_below(from);
                self.checker.available_from = self.checker.available_from.max(from);
            }
        }
        if self.random.chance(50) {
            // A driver that adapts.
            let least = self.options.length / 40;
            let most = self.options.length;
            self.client.set_chunk_bytes(self.random.within(least, most));
        }
        Ok(())
    }

    /// A source of unknown length is read: somewhat further than wanted, or not so far, and at last to its end.
    pub(super) fn read(&mut self, until: u64) -> Result<(), Breach> {
        let takes = self.random.millis(0, 3_000);
        self.world.pass(self.world.time + takes, None)?;
        let more = self.random.below(2 * self.options.chunk_bytes);
        let read_to = &mut self.checker.read_to;
        // A read that brings nothing is the end.
        let is_end = *read_to == self.options.length || self.random.chance(300);
        *read_to = until
            .max(*read_to)
            .saturating_add(more)
            .min(self.options.length);
        let is_end = is_end && *read_to == self.options.length;
        self.client.on_available(*read_to, is_end);
        self.drain()
    }

    fn draw(&mut self, phase: Phase, has_body: bool) -> Option<Mishap> {
        let chosen = self.mishaps.chance(self.options.mishaps_per_mille);
        let which = self.mishaps.draw();
        if !chosen || self.time_is_up() {
            return None;
        }
        let mut possible = self.options.mishaps.iter().copied();
        let count = possible
            .clone()
            .filter(|mishap| self.options.allows(*mishap, phase, has_body))
            .count() as u64;
        let mishap = possible
            .by_ref()
            .filter(|mishap| self.options.allows(*mishap, phase, has_body))
            .nth(which.checked_rem(count)? as usize)?;
        self.report.befell(mishap);
        Some(mishap)
    }
}

/// Whether it was redirected already.
fn is_alias(exchange: &Exchange) -> bool {
    exchange.url.uri().host() == Some(ALIAS)
}
