//! Money: integer minor units with a currency, never a float.

use std::fmt;

/// Active currencies of ISO 4217 that have two decimal places in their minor unit.
const TWO_DECIMALS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD \
CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR \
ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN \
NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC \
SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG";
/// Those that have none.
const NO_DECIMALS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
/// Those that have three.
const THREE_DECIMALS: &str = "BHD IQD JOD KWD LYD OMR TND";

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: [u8; 3],
    decimals: u8,
}

impl Currency {
    /// The euro.
    pub const EUR: Self = Self {
        code: *b"EUR",
        decimals: 2,
    };

    /// The currency of an upper-case ISO 4217 code, for example `EUR`; `None` when there is no such active currency.
    pub fn from_code(code: &str) -> Option<Self> {
        let decimals = [(TWO_DECIMALS, 2), (NO_DECIMALS, 0), (THREE_DECIMALS, 3)]
            .into_iter()
            .find(|(codes, _)| codes.split_ascii_whitespace().any(|known| known == code))?
            .1;
        Some(Self {
            code: code.as_bytes().try_into().ok()?,
            decimals,
        })
    }

    /// The code, three upper-case letters.
    pub fn code(&self) -> &str {
        // The code was compared with a list of ASCII text when it was made.
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// How many decimal places the minor unit is, for example 2 for cents.
    pub fn decimals(&self) -> u8 {
        self.decimals
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount that somebody pays: not negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor_units: i64,
    currency: Currency,
}

impl Money {
    /// An amount in minor units, for example cents; `None` when it is negative.
    pub const fn new(minor_units: i64, currency: Currency) -> Option<Self> {
        if minor_units < 0 {
            return None;
        }
        Some(Self {
            minor_units,
            currency,
        })
    }

    /// The amount in minor units.
    pub fn minor_units(&self) -> i64 {
        self.minor_units
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The sum; `None` for two currencies or when it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Self::new(self.minor_units.checked_add(other.minor_units)?, self.currency)
    }
}

/// `4.99 EUR`, `500 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.currency.code();
        match self.currency.decimals {
            0 => write!(f, "{} {code}", self.minor_units),
            decimals => {
                let scale = 10_i64.pow(u32::from(decimals));
                let (whole, rest) = (self.minor_units / scale, self.minor_units % scale);
                write!(f, "{whole}.{rest:0width$} {code}", width = usize::from(decimals))
            }
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor_units: i64, code: &str) -> Money {
        Money::new(minor_units, Currency::from_code(code).unwrap()).unwrap()
    }

    #[test]
    fn amounts_are_written_with_the_decimals_of_their_currency() {
        assert_eq!(money(499, "EUR").to_string(), "4.99 EUR");
        assert_eq!(money(5, "USD").to_string(), "0.05 USD");
        assert_eq!(money(500, "JPY").to_string(), "500 JPY");
        assert_eq!(money(1_500, "KWD").to_string(), "1.500 KWD");
    }

    #[test]
    fn two_currencies_do_not_add_up() {
        assert_eq!(
            money(1, "EUR").checked_add(money(2, "EUR")),
            Some(money(3, "EUR"))
        );
        assert_eq!(money(1, "EUR").checked_add(money(2, "USD")), None);
        assert_eq!(money(i64::MAX, "EUR").checked_add(money(1, "EUR")), None);
    }

    #[test]
    fn there_is_no_negative_price() {
        assert_eq!(Money::new(-1, Currency::EUR), None);
    }

    #[test]
    fn a_code_that_is_no_currency_is_refused() {
        for code in ["", "eur", "EURO", "XYZ", "EUR USD", "DEM"] {
            assert_eq!(Currency::from_code(code), None, "{code:?}");
        }
        assert_eq!(Currency::from_code("EUR"), Some(Currency::EUR));
    }
}
