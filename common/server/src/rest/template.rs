//! Path templates of `google.api.http` (the grammar is in google/api/http.proto): `/v1/{name=channels/*}:cancel`.

/// One parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) verb: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    /// `*`: exactly one segment.
    One,
    /// `**`: the rest of the path, also none; only at the end.
    Rest,
}

/// A field of the request that takes its value from some segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// `event.name` is `["event", "name"]`.
    pub(crate) field: Vec<String>,
    pub(crate) start: usize,
    /// Exclusive; the number of segments when the last one is `**`.
    pub(crate) end: usize,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("path template {template:?}: {problem}")]
pub struct TemplateError {
    template: String,
    problem: &'static str,
}

impl Template {
    pub(crate) fn parse(template: &str) -> Result<Self, TemplateError> {
        let refuse = |problem| TemplateError {
            template: template.to_owned(),
            problem,
        };
        let rest = template
            .strip_prefix('/')
            .ok_or_else(|| refuse("must start with '/'"))?;
        let (path, verb) = split_verb(rest);
        let mut parsed = Self {
            segments: Vec::new(),
            variables: Vec::new(),
            verb: verb.map(str::to_owned),
        };
        let mut left = path;
        loop {
            left = if let Some(inner) = left.strip_prefix('{') {
                let (variable, after) = inner.split_once('}').ok_or_else(|| refuse("'{' is not closed"))?;
                parsed.variable(variable).map_err(refuse)?;
                after
            } else {
                let (segment, after) = left.split_at(left.find('/').unwrap_or(left.len()));
                parsed.segment(segment).map_err(refuse)?;
                after
            };
            match left.strip_prefix('/') {
                Some(next) => left = next,
                None if left.is_empty() => break,
                None => return Err(refuse("a variable must fill whole segments")),
            }
        }
        let rest_at = parsed
            .segments
            .iter()
            .position(|segment| *segment == Segment::Rest);
        if rest_at.is_some_and(|at| at + 1 != parsed.segments.len()) {
            return Err(refuse("'**' may only stand at the end"));
        }
        Ok(parsed)
    }

    fn segment(&mut self, segment: &str) -> Result<(), &'static str> {
        self.segments.push(match segment {
            "" => return Err("has an empty segment"),
            "*" => Segment::One,
            "**" => Segment::Rest,
            literal if literal.contains(['{', '}', '*']) => {
                return Err("has a '{', '}' or '*' within a segment");
            }
            literal => Segment::Literal(literal.to_owned()),
        });
        Ok(())
    }

    fn variable(&mut self, variable: &str) -> Result<(), &'static str> {
        let (field, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        if field.is_empty() {
            return Err("has a variable without a field");
        }
        let start = self.segments.len();
        for segment in pattern.split('/') {
            self.segment(segment)?;
        }
        self.variables.push(Variable {
            field: field.split('.').map(str::to_owned).collect(),
            start,
            end: self.segments.len(),
        });
        Ok(())
    }

    /// The value of each variable, in the template's order, when the path (still percent-encoded) matches.
    pub(crate) fn capture(&self, path: &str) -> Option<Vec<String>> {
        let mut path = path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            path = path.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        }
        let parts: Vec<&str> = path.split('/').collect();
        let open = self.segments.last() == Some(&Segment::Rest);
        let fixed = self.segments.len() - usize::from(open);
        if parts.len() < fixed || (!open && parts.len() > fixed) {
            return None;
        }
        for (segment, part) in self.segments.iter().zip(&parts) {
            let fits = match segment {
                Segment::Literal(literal) => literal == part,
                Segment::One => !part.is_empty(),
                Segment::Rest => true,
            };
            if !fits {
                return None;
            }
        }
        let values = self.variables.iter().map(|variable| {
            let end = if open && variable.end == self.segments.len() {
                parts.len()
            } else {
                variable.end
            };
            let taken = parts.get(variable.start..end).unwrap_or_default();
            taken
                .iter()
                .map(|part| decode(part))
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.join("/"))
        });
        values.collect()
    }

    /// Sorts the most particular template first: literals before `*` before `**`, a verb before none.
    pub(crate) fn rank(&self) -> (bool, Vec<u8>) {
        let kinds = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::One => 1,
            Segment::Rest => 2,
        });
        (self.verb.is_none(), kinds.collect())
    }
}

/// Splits the verb off: the text after a ':' behind the last '/' that is not within a variable.
fn split_verb(template: &str) -> (&str, Option<&str>) {
    match template.rfind(':') {
        Some(at) if !template[at..].contains(['/', '}']) => (&template[..at], Some(&template[at + 1..])),
        _ => (template, None),
    }
}

/// Decodes one segment. An encoded '/' stays encoded, so that a value never gains a segment.
fn decode(part: &str) -> Option<String> {
    if !part.contains('%') {
        return Some(part.to_owned());
    }
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8().ok()?;
    Some(if decoded.contains('/') {
        part.to_owned()
    } else {
        decoded.into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(template: &str, path: &str) -> Option<Vec<String>> {
        Template::parse(template).unwrap().capture(path)
    }

    #[test]
    fn a_name_of_several_segments_is_one_variable() {
        assert_eq!(
            capture("/v1/{name=channels/*/events/*}", "/v1/channels/c1/events/e1").unwrap(),
            ["channels/c1/events/e1"]
        );
        assert_eq!(
            capture("/v1/{name=channels/*}", "/v1/channels/c1/events/e1"),
            None
        );
        assert_eq!(capture("/v1/{name=channels/*}", "/v1/accounts/c1"), None);
        assert_eq!(capture("/v1/{name=channels/*}", "/v1/channels/"), None);
    }

    #[test]
    fn the_verb_stands_after_the_last_segment() {
        assert_eq!(
            capture("/v1/{name=channels/*}:cancel", "/v1/channels/c1:cancel").unwrap(),
            ["channels/c1"]
        );
        assert_eq!(capture("/v1/{name=channels/*}:cancel", "/v1/channels/c1"), None);
        assert_eq!(
            capture("/v1/search:suggest", "/v1/search:suggest").unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_nested_field_is_a_path_of_names() {
        let template = Template::parse("/v1/{event.name=channels/*/events/*}").unwrap();
        assert_eq!(template.variables[0].field, ["event", "name"]);
    }

    #[test]
    fn a_variable_without_a_pattern_is_one_segment_and_a_double_star_the_rest() {
        assert_eq!(capture("/v1/{id}/x", "/v1/a/x").unwrap(), ["a"]);
        assert_eq!(capture("/files/{path=**}", "/files/a/b/c").unwrap(), ["a/b/c"]);
        assert_eq!(capture("/files/{path=**}", "/files").unwrap(), [""]);
    }

    #[test]
    fn segments_are_decoded_but_never_split() {
        assert_eq!(
            capture("/v1/{name=channels/*}", "/v1/channels/%40caf%C3%A9").unwrap(),
            ["channels/@café"]
        );
        assert_eq!(
            capture("/v1/{name=channels/*}", "/v1/channels/a%2Fb").unwrap(),
            ["channels/a%2Fb"]
        );
        assert_eq!(capture("/v1/{name=channels/*}", "/v1/channels/%ff"), None);
    }

    #[test]
    fn literals_come_before_wildcards() {
        let mut templates =
            ["/v1/{a=**}", "/v1/{a}", "/v1/me", "/v1/{a}:do"].map(|t| Template::parse(t).unwrap());
        templates.sort_by_key(Template::rank);
        assert_eq!(templates[0].verb.as_deref(), Some("do"));
        assert_eq!(templates[1].segments[1], Segment::Literal("me".to_owned()));
        assert_eq!(templates[3].segments[1], Segment::Rest);
    }

    #[test]
    fn ill_formed_templates_are_refused() {
        for template in [
            "v1",
            "/v1//x",
            "/v1/{name",
            "/v1/{=a}",
            "/v1/{name}x",
            "/v1/**/x",
            "/v1/a*",
        ] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
