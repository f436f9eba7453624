//! Collects the best documents after a cursor, by score and then name, and counts all that match.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::StrColumn;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader, TantivyError};

use crate::domain::Cursor;

/// The collector.
pub(super) struct Best {
    limit: usize,
    after: Option<Cursor>,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) score: Score,
    pub(super) name: String,
    pub(super) address: DocAddress,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The best, best first.
    pub(super) places: Vec<Place>,
    /// How many match, before and after the cursor.
    pub(super) total: u64,
}

impl Best {
    /// The best `limit` after the cursor.
    pub(super) fn new(limit: usize, after: Option<Cursor>) -> Self {
        Self { limit, after }
    }
}

impl Collector for Best {
    type Fruit = Found;
    type Child = InSegment;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<InSegment> {
        let names = reader
            .fast_fields()
            .str("name")?
            .ok_or_else(|| TantivyError::InternalError("the index has no names".to_owned()))?;
        let after = match &self.after {
            None => None,
            Some(cursor) => Some((cursor.score, ordinal_after(&names, &cursor.name)?)),
        };
        Ok(InSegment {
            segment,
            limit: self.limit,
            after,
            names,
            heap: BinaryHeap::new(),
            total: 0,
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, fruits: Vec<tantivy::Result<Found>>) -> tantivy::Result<Found> {
        let mut merged = Found::default();
        for found in fruits {
            let found = found?;
            merged.total += found.total;
            merged.places.extend(found.places);
        }
        merged
            .places
            .sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
        merged.places.truncate(self.limit);
        Ok(merged)
    }
}

/// The ordinal of the first name of the segment that comes after `name`.
fn ordinal_after(names: &StrColumn, name: &str) -> tantivy::Result<u64> {
    let (mut low, mut high) = (0, names.num_terms() as u64);
    let mut at = String::new();
    while low < high {
        let middle = low + (high - low) / 2;
        at.clear();
        names.ord_to_str(middle, &mut at)?;
        if at.as_str() <= name {
            low = middle + 1
        } else {
            high = middle
        }
    }
    Ok(low)
}

/// The collector within one segment, where a name's ordinal orders as the name does.
pub(super) struct InSegment {
    segment: SegmentOrdinal,
    limit: usize,
    after: Option<(Score, u64)>,
    names: StrColumn,
    heap: BinaryHeap<Ranked>,
    total: u64,
}

impl SegmentCollector for InSegment {
    type Fruit = tantivy::Result<Found>;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.total += 1;
        let ordinal = self.names.term_ords(doc).next().unwrap_or(u64::MAX);
        if let Some((last, first)) = self.after
            && (score > last || (score == last && ordinal < first))
        {
            return;
        }
        self.heap.push(Ranked { score, ordinal, doc });
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    fn harvest(self) -> Self::Fruit {
        let mut places = Vec::with_capacity(self.heap.len());
        for ranked in self.heap.into_sorted_vec() {
            let mut name = String::new();
            self.names.ord_to_str(ranked.ordinal, &mut name)?;
            places.push(Place {
                score: ranked.score,
                name,
                address: DocAddress::new(self.segment, ranked.doc),
            });
        }
        Ok(Found {
            places,
            total: self.total,
        })
    }
}

/// Greater is worse, so that the heap gives up the worst.
struct Ranked {
    score: Score,
    ordinal: u64,
    doc: DocId,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.ordinal.cmp(&other.ordinal))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}
