/// The known name that is nearest to `name`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (known, distance) = known
        .map(|known| (known, distance(name, known)))
        .min_by_key(|(_, distance)| *distance)?;
    (distance <= known.len().max(name.len()) / 2).then_some(known)
}

/// Levenshtein distance in bytes, of at most the first 64.
fn distance(a: &str, b: &str) -> usize {
    let a = a.as_bytes().get(..64).unwrap_or(a.as_bytes());
    let b = b.as_bytes().get(..64).unwrap_or(b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_nonsense_finds_none() {
        let known = ["page_size", "page_token", "owner"];
        assert_eq!(nearest("pagesize", known.into_iter()), Some("page_size"));
        assert_eq!(nearest("onwer", known.into_iter()), Some("owner"));
        assert_eq!(nearest("zzzzzzzzz", known.into_iter()), None);
    }
}
