//! Proves that the tools of the tests do what they say: a fault that does not strike would make
//! every test that relies on it a lie.

mod checker;
mod fake;
mod fake_h2;
mod fake_tls;
mod link;
mod namespace;
mod peers;
mod process;
mod proxy_bytes;
mod proxy_faults;
mod proxy_plan;
mod sink;
mod strace;
mod wire;
