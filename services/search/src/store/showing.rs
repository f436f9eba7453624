//! The piece of a document that is shown with a hit: the same whichever adapter found it.

use super::stems;
use crate::domain::snippet::{Matcher, snippet};
use crate::domain::{Document, Query};

/// The best piece of the document's texts, escaped for HTML, what the query meant in `<em>`.
pub(super) fn shown(document: &Document, query: &Query) -> String {
    let terms = query.terms();
    let matcher = Matcher {
        terms: &terms,
        last_is_open: query.last_is_open(),
        stem: &stems::english,
    };
    let labels = document.labels().join(", ");
    let channel = document.channel();
    let by = format!("{} @{}", channel.display_name, channel.handle);
    let texts = [
        document.title(),
        document.description(),
        &labels,
        &by,
        document.title(),
    ];
    snippet(&texts, &matcher)
}
