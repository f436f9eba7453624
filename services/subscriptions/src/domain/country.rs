//! Countries.

/// Officially assigned codes of ISO 3166-1 alpha-2.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET \
FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ \
IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML \
MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS \
PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL \
TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// An ISO 3166-1 alpha-2 code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Country(String);

impl Country {
    /// Takes an assigned code in any case.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let code = text.trim().to_ascii_uppercase();
        if CODES.split_ascii_whitespace().any(|known| known == code) {
            Ok(Self(code))
        } else {
            Err("must be an ISO 3166-1 alpha-2 country code, for example NL")
        }
    }

    /// Two upper-case letters.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_249_assigned_codes_are_known() {
        assert_eq!(CODES.split_ascii_whitespace().count(), 249);
    }

    #[test]
    fn case_does_not_matter() {
        assert_eq!(Country::parse("nl").unwrap().as_str(), "NL");
    }

    #[test]
    fn what_is_not_assigned_is_refused() {
        for text in ["", "XX", "NLD", "N", "AD AE"] {
            assert!(Country::parse(text).is_err(), "{text:?}");
        }
    }
}
