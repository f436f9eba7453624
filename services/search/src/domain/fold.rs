//! Folding: what is left of a letter when case and accents are put aside.

/// Letters and what they fold to, beside those that lower-casing settles.
const FOLDS: &[(&str, &str)] = &[
    ("àáâãäåāăąǎǟǡǻȁȃȧạảấầẩẫậắằẳẵặ", "a"),
    ("æǣǽ", "ae"),
    ("ƀḃḅ", "b"),
    ("çćĉċč", "c"),
    ("ðďđḋḍ", "d"),
    ("èéêëēĕėęěȅȇȩẹẻẽếềểễệ", "e"),
    ("ḟƒ", "f"),
    ("ĝğġģǥǧǵ", "g"),
    ("ĥħȟḣḥ", "h"),
    ("ìíîïĩīĭįıǐȉȋỉị", "i"),
    ("ĵǰ", "j"),
    ("ķĸǩḱḳ", "k"),
    ("ĺļľŀłḷ", "l"),
    ("ṁṃḿ", "m"),
    ("ñńņňŋǹṅṇ", "n"),
    ("òóôõöøōŏőơǒǫǭǿȍȏȫȭȯọỏốồổỗộớờởỡợ", "o"),
    ("œ", "oe"),
    ("ṕṗ", "p"),
    ("ŕŗřȑȓṙṛ", "r"),
    ("śŝşšșṡṣſ", "s"),
    ("ßẞ", "ss"),
    ("ţťŧțṫṭ", "t"),
    ("þ", "th"),
    ("ùúûüũūŭůűųưǔǖǘǚǜȕȗụủứừửữự", "u"),
    ("ŵẁẃẅẇẉ", "w"),
    ("ẋẍ", "x"),
    ("ýÿŷȳẏỳỵỷỹ", "y"),
    ("źżžẑẓ", "z"),
    ("ά", "α"),
    ("έ", "ε"),
    ("ή", "η"),
    ("ίϊΐ", "ι"),
    ("ό", "ο"),
    ("ύϋΰ", "υ"),
    ("ώ", "ω"),
    ("ς", "σ"),
    ("ё", "е"),
];

/// Appends the folded form of one character: lower case, without accents. Combining marks fold to nothing.
pub fn push_folded(character: char, out: &mut String) {
    if character.is_ascii() {
        out.push(character.to_ascii_lowercase());
        return;
    }
    for lower in character.to_lowercase() {
        if is_combining(lower) {
            continue;
        }
        match FOLDS.iter().find(|(letters, _)| letters.contains(lower)) {
            Some((_, folded)) => out.push_str(folded),
            None => out.push(lower),
        }
    }
}

/// True for the accents that decomposed text carries after its letters (Combining Diacritical Marks, U+0300 to U+036F).
pub fn is_combining(character: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&character)
}

/// The folded form of a text.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        push_folded(character, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_are_put_aside() {
        assert_eq!(fold("Élan ŁÓDŹ Straße Ærø Ñandú"), "elan lodz strasse aero nandu");
    }

    #[test]
    fn composed_and_decomposed_accents_fold_alike() {
        assert_eq!(fold("caf\u{e9}"), fold("cafe\u{301}"));
    }

    #[test]
    fn turkish_capital_i_with_a_dot_is_an_i() {
        assert_eq!(fold("İSTANBUL"), "istanbul");
    }

    #[test]
    fn other_scripts_stay_as_they_are() {
        assert_eq!(fold("Ночной Эфир 東京"), "ночной эфир 東京");
    }
}
