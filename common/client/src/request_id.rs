use std::cell::RefCell;

use http::HeaderValue;

thread_local! {
    /// Of the request that this thread polls.
    static REQUEST_ID: RefCell<Option<HeaderValue>> = const { RefCell::new(None) };
}

/// The header that a request id travels in.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// Runs one poll for the request with this id: calls to peers in it carry the id, errors in it name it.
///
/// Every poll of every answer comes through here: the id is lent to the thread, not copied. Meanwhile `id` is empty.
pub fn poll_for_request<T>(id: &mut HeaderValue, poll: impl FnOnce() -> T) -> T {
    let lent = std::mem::replace(id, HeaderValue::from_static(""));
    let before = REQUEST_ID.replace(Some(lent));
    let _back = Back { id, before };
    poll()
}

/// The id of the request that the running task answers.
pub fn request_id() -> Option<HeaderValue> {
    REQUEST_ID.with_borrow(Clone::clone)
}

/// Takes the id back from the thread, also when the poll panics.
struct Back<'a> {
    id: &'a mut HeaderValue,
    before: Option<HeaderValue>,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if let Some(lent) = REQUEST_ID.replace(self.before.take()) {
            *self.id = lent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_sees_its_id_and_the_one_around_it_again_afterwards() {
        let (mut outer, mut inner) = (HeaderValue::from_static("a"), HeaderValue::from_static("b"));
        assert_eq!(request_id(), None);
        poll_for_request(&mut outer, || {
            assert_eq!(request_id().unwrap(), "a");
            poll_for_request(&mut inner, || assert_eq!(request_id().unwrap(), "b"));
            assert_eq!(request_id().unwrap(), "a");
        });
        assert_eq!(request_id(), None);
        assert_eq!((outer, inner), ("a".parse().unwrap(), "b".parse().unwrap()));
    }

    #[test]
    fn a_poll_that_panics_gives_the_id_back() {
        let mut id = HeaderValue::from_static("a");
        let poll = std::panic::AssertUnwindSafe(|| poll_for_request(&mut id, || panic!("in a handler")));
        std::panic::catch_unwind(poll).unwrap_err();
        assert_eq!((id, request_id()), (HeaderValue::from_static("a"), None));
    }
}
