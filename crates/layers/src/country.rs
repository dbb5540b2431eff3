use std::fmt;

use postduif_core::PhoneNumber;

/// A country that shares its country code with others, from which the digits after the code distinguish it.
///
/// For every other country its code is enough: `"+31".parse::<Prefix>()`. Numbers without a location (toll-free,
/// premium, personal numbers, pagers) belong to none of them.
///
/// Area codes are added now and then. A new one of `+1` counts as the United States until this list has it.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// use postduif::layers::Country;
///
/// assert!(Country::UNITED_STATES.contains("+12125550100".parse()?));
/// assert!(!Country::UNITED_STATES.contains("+18765550100".parse()?), "Jamaica");
/// # Ok::<(), postduif::PhoneNumberError>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Country {
    name: &'static str,
    /// A number belongs to the country if it starts with one of these,
    within: &'static [u64],
    /// and with none of these.
    without: &'static [&'static [u64]],
}

impl Country {
    /// The United States: `+1` without Canada, the territories and the other countries of that code.
    pub const UNITED_STATES: Self = Self {
        name: "US",
        within: &[1],
        without: &[
            CANADA,
            CARIBBEAN_AND_PACIFIC,
            NOT_GEOGRAPHIC_IN_NORTH_AMERICA,
        ],
    };

    /// Canada.
    pub const CANADA: Self = Self {
        name: "CA",
        within: CANADA,
        without: &[],
    };

    /// Russia.
    pub const RUSSIA: Self = Self {
        name: "RU",
        within: &[73, 74, 78, 79],
        without: &[&[7800, 7803, 7809]],
    };

    /// Kazakhstan.
    pub const KAZAKHSTAN: Self = Self {
        name: "KZ",
        within: &[76, 77],
        without: &[],
    };

    /// The United Kingdom, without Jersey, Guernsey and the Isle of Man.
    pub const UNITED_KINGDOM: Self = Self {
        name: "GB",
        within: &[441, 442, 443, 447],
        without: &[JERSEY, GUERNSEY, ISLE_OF_MAN, &[4470, 4476]],
    };

    /// Jersey.
    pub const JERSEY: Self = Self {
        name: "JE",
        within: JERSEY,
        without: &[],
    };

    /// Guernsey.
    pub const GUERNSEY: Self = Self {
        name: "GG",
        within: GUERNSEY,
        without: &[],
    };

    /// The Isle of Man.
    pub const ISLE_OF_MAN: Self = Self {
        name: "IM",
        within: ISLE_OF_MAN,
        without: &[],
    };

    /// Returns whether the number is one of the country's.
    #[must_use]
    pub fn contains(self, number: PhoneNumber) -> bool {
        let starts = |list: &[u64]| list.iter().any(|&prefix| starts_with(number, prefix));
        starts(self.within) && !self.without.iter().any(|list| starts(list))
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({})", self.name)
    }
}

const fn starts_with(number: PhoneNumber, prefix: u64) -> bool {
    let (digits, length) = (number.to_u64().ilog10(), prefix.ilog10());
    digits >= length && number.to_u64() / 10_u64.pow(digits - length) == prefix
}

const CANADA: &[u64] = &[
    1204, 1226, 1236, 1249, 1250, 1257, 1263, 1273, 1289, 1306, 1343, 1354, 1365, 1367, 1368, 1382,
    1387, 1403, 1416, 1418, 1428, 1431, 1437, 1438, 1450, 1460, 1468, 1474, 1506, 1514, 1519, 1537,
    1548, 1579, 1581, 1584, 1587, 1604, 1613, 1639, 1647, 1672, 1683, 1705, 1709, 1742, 1753, 1778,
    1780, 1782, 1807, 1819, 1825, 1867, 1873, 1879, 1902, 1905, 1942,
];

/// The countries and territories of `+1` other than the United States and Canada.
const CARIBBEAN_AND_PACIFIC: &[u64] = &[
    1242, 1246, 1264, 1268, 1284, 1340, 1345, 1441, 1473, 1649, 1658, 1664, 1670, 1671, 1684, 1721,
    1758, 1767, 1784, 1787, 1809, 1829, 1849, 1868, 1869, 1876, 1939,
];

/// Toll-free, premium, personal and carriers' own numbers.
const NOT_GEOGRAPHIC_IN_NORTH_AMERICA: &[u64] = &[
    1500, 1521, 1522, 1523, 1524, 1525, 1526, 1527, 1528, 1529, 1533, 1544, 1566, 1577, 1588, 1600,
    1622, 1633, 1644, 1655, 1677, 1688, 1700, 1710, 1800, 1822, 1833, 1844, 1855, 1866, 1877, 1888,
    1900,
];

const JERSEY: &[u64] = &[
    441_534, 447_509, 447_797, 447_829, 447_937, 4_477_003, 4_477_007, 4_477_008,
];
const GUERNSEY: &[u64] = &[441_481, 447_781, 447_839, 4_479_111, 4_479_117];
const ISLE_OF_MAN: &[u64] = &[441_624, 447_524, 447_624, 447_924, 4_474_576];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_that_share_a_code_are_distinguished() {
        let all = [
            Country::UNITED_STATES,
            Country::CANADA,
            Country::RUSSIA,
            Country::KAZAKHSTAN,
            Country::UNITED_KINGDOM,
            Country::JERSEY,
            Country::GUERNSEY,
            Country::ISLE_OF_MAN,
        ];
        for (number, country) in [
            ("+12125550100", Some("US")),
            ("+14165550100", Some("CA")),
            ("+18765550100", None),
            ("+12425550100", None),
            ("+17875550100", None),
            ("+19005550100", None),
            ("+18005550100", None),
            ("+79161234567", Some("RU")),
            ("+77011234567", Some("KZ")),
            ("+447781123456", Some("GG")),
            ("+447400123456", Some("GB")),
            ("+442079460018", Some("GB")),
            ("+447797712345", Some("JE")),
            ("+447924123456", Some("IM")),
            ("+447012345678", None),
            ("+447612345678", None),
            ("+31612345678", None),
        ] {
            let number: PhoneNumber = number.parse().unwrap();
            let found: Vec<_> = all.iter().filter(|c| c.contains(number)).collect();
            assert!(found.len() <= 1, "{number}: {found:?}");
            assert_eq!(found.first().map(|c| c.name), country, "{number}");
        }
    }
}
