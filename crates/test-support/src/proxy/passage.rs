//! What one connection has done so far, as far as faults depend on it.

use super::Direction;

/// The bytes a connection has carried, and the request it is at.
#[derive(Debug, Default)]
pub(super) struct Passage {
    passed: [u64; 2],
    /// The method of the request under way; empty before the first.
    method: String,
    /// Bytes of a request have come since the last answer.
    request_under_way: bool,
}

impl Passage {
    /// Bytes read in `direction`.
    pub(super) fn passed(&self, direction: Direction) -> u64 {
        self.passed[direction as usize]
    }

    /// Counts bytes read in `direction`.
    pub(super) fn pass(&mut self, direction: Direction, bytes: u64) {
        self.passed[direction as usize] += bytes;
    }

    /// Looks at bytes from the client: the first after an answer name a method.
    pub(super) fn see_request(&mut self, bytes: &[u8]) {
        if self.request_under_way {
            return;
        }
        self.request_under_way = true;
        let letters = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_uppercase())
            .count();
        // After `100 Continue` it is the body that comes: it keeps the method it belongs to.
        if letters > 0 && bytes.get(letters) == Some(&b' ') {
            self.method = String::from_utf8_lossy(&bytes[..letters]).into_owned();
        }
    }

    /// Bytes came from the server: what the client says next is a new request.
    pub(super) fn see_answer(&mut self) {
        self.request_under_way = false;
    }

    /// Whether `answer` must be swallowed; if so, takes the order for it from `armed`, where each
    /// order may name the method that it waits for.
    pub(super) fn swallows(&self, armed: &mut Vec<Option<String>>, answer: &[u8]) -> bool {
        if answer.starts_with(b"HTTP/1.1 100") {
            return false;
        }
        let found = armed
            .iter()
            .position(|wanted| wanted.as_deref().is_none_or(|wanted| wanted == self.method));
        found.map(|index| armed.remove(index)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_sent_after_100_continue_keeps_its_method_and_that_is_no_answer() {
        let mut passage = Passage::default();
        let mut armed = vec![Some("PATCH".to_owned())];
        passage.see_request(b"PATCH /files/1 HTTP/1.1");
        assert!(!passage.swallows(&mut armed, b"HTTP/1.1 100 Continue"));
        passage.see_answer();
        passage.see_request(b"body");
        assert!(passage.swallows(&mut armed, b"HTTP/1.1 204 No Content"));
        assert!(armed.is_empty());
    }

    #[test]
    fn an_order_for_one_method_waits_for_it() {
        let mut passage = Passage::default();
        let mut armed = vec![Some("PATCH".to_owned())];
        passage.see_request(b"HEAD /files/1 HTTP/1.1");
        assert!(!passage.swallows(&mut armed, b"HTTP/1.1 200 OK"));
        assert_eq!(armed.len(), 1);
    }
}
