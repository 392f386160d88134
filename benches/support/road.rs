//! A server that is far away: over a real link where this is root, else over the proxy's delay line.

use std::process::Command;
use std::time::Duration;

use test_support::{ChaosProxy, Link, LinkPlan, NullSink, NullSinkBuilder, Side};

use super::{Failure, Machine};

/// How far away, and how thick the cable is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoadPlan {
    pub(crate) round_trip: Duration,
    /// Bits per second of all connections together.
    pub(crate) rate: Option<u64>,
    /// The part of the packets that is lost; only a link can lose any.
    pub(crate) loss: f64,
    /// Bytes that one connection may have under way; only a link can limit them.
    pub(crate) window: Option<u64>,
}

impl RoadPlan {
    pub(crate) fn new(milliseconds: u64) -> Self {
        Self {
            round_trip: Duration::from_millis(milliseconds),
            rate: None,
            loss: 0.0,
            window: None,
        }
    }

    pub(crate) fn mbit(mut self, mbit: u64) -> Self {
        self.rate = Some(mbit * 1_000_000);
        self
    }

    pub(crate) fn loss(mut self, part: f64) -> Self {
        self.loss = part;
        self
    }

    pub(crate) fn window(mut self, bytes: u64) -> Self {
        self.window = Some(bytes);
        self
    }

    fn link(self) -> LinkPlan {
        let mut link = LinkPlan::round_trip(self.round_trip).loss(self.loss);
        if let Some(rate) = self.rate {
            link = link.rate(rate);
        }
        if let Some(bytes) = self.window {
            link = link.socket_buffer(bytes);
        }
        link
    }
}

/// The way to a null sink that is far away.
#[derive(Debug)]
pub(crate) struct Road {
    // The sink goes first: its threads live in the link's network.
    sink: NullSink,
    over: Over,
}

#[derive(Debug)]
enum Over {
    Link(Link),
    Proxy(ChaosProxy),
}

impl Road {
    /// Builds the road, sink and all, on the core of the sinks.
    ///
    /// # Errors
    /// What says "needs root" when only a link would do and none can be made.
    pub(crate) async fn new(
        machine: &Machine,
        plan: RoadPlan,
        sink: NullSinkBuilder,
    ) -> Result<Self, Failure> {
        match machine.apart(|| Link::new(plan.link()))? {
            Ok(link) => {
                let start = || sink.start_in(link.namespace(Side::Right));
                let sink = machine.apart(start)??;
                Ok(Self {
                    sink,
                    over: Over::Link(link),
                })
            }
            Err(why) if plan.loss > 0.0 || plan.window.is_some() => {
                Err(format!("needs root: {why}").into())
            }
            Err(_) => {
                let sink = machine.apart(|| sink.start())??;
                let mut proxy = ChaosProxy::builder(sink.addr()).delay(plan.round_trip / 2);
                if let Some(rate) = plan.rate {
                    proxy = proxy.rate_up(rate / 8);
                }
                Ok(Self {
                    sink,
                    over: Over::Proxy(proxy.start().await?),
                })
            }
        }
    }

    /// What the road is made of, for the notes.
    pub(crate) fn name(&self) -> &'static str {
        match self.over {
            Over::Link(_) => "link",
            Over::Proxy(_) => "delay line of the proxy",
        }
    }

    pub(crate) fn sink(&self) -> &NullSink {
        &self.sink
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        match &self.over {
            Over::Link(link) => Some(link),
            Over::Proxy(_) => None,
        }
    }

    /// Where uploads are created, as the near end sees it.
    pub(crate) fn url(&self) -> String {
        match &self.over {
            Over::Link(_) => self.sink.creation_url(),
            Over::Proxy(proxy) => proxy.url("/files/"),
        }
    }

    /// `command` at the near end.
    pub(crate) fn near(&self, command: Command) -> Command {
        match &self.over {
            Over::Link(link) => {
                let mut inside = link.namespace(Side::Left).command(&command);
                // Only what the command was given, as without a link.
                inside.env_clear();
                for (name, value) in command.get_envs() {
                    inside.env(name, value.unwrap_or_default());
                }
                inside
            }
            Over::Proxy(_) => command,
        }
    }
}
