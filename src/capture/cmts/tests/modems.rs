//! What is told of a modem, and from where.

use super::super::family::{Column, Family};
use super::super::modems::{Modem, modems};
use super::super::tables::{Cell, Tables};
use super::super::usage::Kind;
use super::small::MODEM;
use super::{FIRST, tables};

/// A modem with these cells, by status index 1 and registration id 7.
fn modem(cells: &[(Column, &[u32], Cell<'_>)]) -> Modem {
    let mut tables = Tables::new(Family::Qos3);
    tables.take(Column::ModemMac, &[1], Cell::Octets(&MODEM));
    tables.take(Column::RegMac, &[7], Cell::Octets(&MODEM));
    for (column, index, cell) in cells {
        tables.take(*column, index, *cell);
    }
    assert_eq!(tables.unusable, 0, "{:?}", tables.first_unusable);
    modems(&tables).remove(&MODEM).unwrap()
}

const STATUS: &[u32] = &[1];
const REGISTRATION: &[u32] = &[7];

#[test]
fn the_mode_is_that_of_the_registration_and_of_the_channels() {
    let mode = |cells: &[(Column, Cell<'_>)]| {
        let cells: Vec<_> = cells
            .iter()
            .map(|(column, cell)| match column {
                Column::ModemRegMode | Column::ModemOldMode | Column::ModemModulation => (*column, STATUS, *cell),
                _ => (*column, REGISTRATION, *cell),
            })
            .collect();
        modem(&cells).mode
    };
    let (later, scdma) = (
        (Column::ModemRegMode, Cell::Number(2)),
        (Column::ModemModulation, Cell::Number(3)),
    );
    assert_eq!(mode(&[(Column::ModemRegMode, Cell::Number(1)), scdma]), Some(10));
    assert_eq!(mode(&[later, (Column::ModemModulation, Cell::Number(1))]), Some(11));
    assert_eq!(
        mode(&[(Column::ModemOldMode, Cell::Number(2))]),
        Some(11),
        "an agent older than RFC 4546"
    );
    assert_eq!(mode(&[(Column::RegQos, Cell::Number(2))]), Some(11));
    assert_eq!(mode(&[later, scdma]), Some(20));
    assert_eq!(
        mode(&[later, scdma, (Column::RegUpSet, Cell::Number(255))]),
        Some(20),
        "a single channel"
    );
    assert_eq!(mode(&[later, scdma, (Column::RegUpSet, Cell::Number(256))]), Some(30));
    assert_eq!(mode(&[later, (Column::RegDownSet, Cell::Number(300))]), Some(30));
    assert_eq!(
        mode(&[later, (Column::RegProfile, Cell::Octets(&[0, 0x10, 0, 0, 0]))]),
        Some(30)
    );
    assert_eq!(mode(&[later, (Column::RegProfile, Cell::Octets(&[0; 5]))]), Some(11));
    assert_eq!(mode(&[later, (Column::RegOfdm, Cell::Octets(&[1, 2]))]), Some(31));
    assert_eq!(mode(&[later, (Column::RegOfdm, Cell::Octets(&[]))]), Some(11));
    assert_eq!(mode(&[]), None);
    assert_eq!(mode(&[(Column::ModemRegMode, Cell::Number(9))]), None);
}

#[test]
fn every_mode_is_in_the_tables_of_an_agent() {
    let modems = modems(&tables(FIRST, Family::Qos3));
    let mode = |n: u8| modems[&[2, 0, 0x5e, 0, 0, n]].mode;
    assert_eq!([2, 6, 5, 0, 4].map(mode), [10, 11, 20, 30, 31].map(Some));
}

#[test]
fn the_state_of_an_older_table_is_told_in_the_terms_of_the_newer() {
    let state = |state| modem(&[(Column::ModemStatus, STATUS, Cell::Number(state))]).status;
    let told = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(state);
    assert_eq!(told, [1, 2, 1, 4, 5, 6, 1, 8, 9].map(Some));
    let both = [
        (Column::ModemStatus, STATUS, Cell::Number(6)),
        (Column::RegStatus, REGISTRATION, Cell::Number(17)),
    ];
    assert_eq!(modem(&both).status, Some(17));
}

#[test]
fn addresses_of_a_modem_come_from_both_tables_and_zeros_are_none() {
    let (v6, local) = (
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
    );
    let newer = modem(&[
        (Column::ModemIp, STATUS, Cell::Octets(&[0; 4])),
        (Column::RegIpv4, REGISTRATION, Cell::Octets(&[10, 0, 0, 9])),
        (Column::RegIpv6, REGISTRATION, Cell::Octets(&v6)),
        (Column::RegLinkLocal, REGISTRATION, Cell::Octets(&local)),
    ]);
    assert_eq!(newer.ip, Some([10, 0, 0, 9].into()));
    assert_eq!((newer.ip6, newer.link_local), (Some(v6.into()), Some(local.into())));
    let older = modem(&[
        (Column::ModemInetType, STATUS, Cell::Number(2)),
        (Column::ModemInet, STATUS, Cell::Octets(&v6)),
        (Column::RegIpv6, REGISTRATION, Cell::Octets(&[0; 16])),
        (Column::RegLinkLocal, REGISTRATION, Cell::Octets(&[0; 16])),
    ]);
    assert_eq!((older.ip, older.ip6, older.link_local), (None, Some(v6.into()), None));
}

#[test]
fn what_is_behind_a_modem_is_found_in_the_table_that_has_it() {
    let address: &[u8] = &[10, 128, 0, 1];
    let expected = [std::net::Ipv4Addr::new(10, 128, 0, 1)];
    let v6: &[u8] = &[0x20; 16];
    let newest = modem(&[
        (Column::Cpe3, &[7, 1], Cell::Octets(address)),
        (Column::Cpe3Prefix, &[7, 1], Cell::Number(32)),
        (Column::Cpe3, &[7, 2], Cell::Octets(v6)),
        (Column::Cpe3Prefix, &[7, 2], Cell::Number(128)),
        (Column::Cpe3, &[7, 3], Cell::Octets(&[10, 129, 0, 0])),
        (Column::Cpe3Prefix, &[7, 3], Cell::Number(24)),
        (Column::Cpe3, &[8, 1], Cell::Octets(&[10, 9, 9, 9])),
    ]);
    assert_eq!(newest.cpes, expected, "one address of version 4, of this modem");
    for column in [Column::CpeIetf, Column::CpeDraft] {
        let cells = [
            (column, &[1, 4][..], Cell::Octets(address)),
            (column, &[1, 5], Cell::Octets(v6)),
        ];
        assert_eq!(modem(&cells).cpes, expected);
    }
    let (station, itself): (&[u32], &[u32]) = (&[2, 0, 0x5e, 9, 9, 9], &[2, 0, 0x5e, 0, 0, 1]);
    let columns = [
        (Column::CiscoCpeKind, Column::CiscoCpe, Column::CiscoCpeModem),
        (Column::CasaCpeKind, Column::CasaCpe, Column::CasaCpeModem),
    ];
    for (kind, ip, modem_index) in columns {
        let cells = [
            (kind, station, Cell::Number(2)),
            (ip, station, Cell::Octets(address)),
            (modem_index, station, Cell::Number(1)),
            (kind, itself, Cell::Number(1)),
            (ip, itself, Cell::Octets(&[10, 1, 0, 1])),
            (modem_index, itself, Cell::Number(1)),
        ];
        assert_eq!(modem(&cells).cpes, expected, "the modem itself is not behind itself");
    }
}

#[test]
fn addresses_that_nobody_wants_are_not_read() {
    let is_of_cpes = |columns: &[Column]| {
        let all = [
            Column::CPES3,
            Column::CPES_IETF,
            Column::CPES_DRAFT,
            Column::CISCO_CPES,
            Column::CASA_CPES,
        ];
        all.contains(&columns)
    };
    for family in Family::ALL {
        let tables = Tables::new(family);
        let asked = |records, cpes| {
            let groups = family.groups(records, cpes).into_iter();
            groups
                .chain(tables.substitutes(records, cpes))
                .filter(|columns| is_of_cpes(columns))
                .count()
        };
        assert_eq!(
            asked(Kind::Docsis, true),
            5,
            "the family's first, then what may stand in for it"
        );
        assert_eq!(asked(Kind::Docsis, false), 0);
        assert_eq!((asked(Kind::SamisType1, true), asked(Kind::SamisType2, true)), (0, 0));
    }
    let mut known = Tables::new(Family::Ietf);
    known.take(Column::CpeIetf, &[1, 1], Cell::Octets(&[10, 0, 0, 1]));
    assert_eq!(known.substitutes(Kind::Docsis, true), Vec::<&[Column]>::new());
}

#[test]
fn a_modem_that_moved_is_where_it_has_an_address() {
    for (left, here) in [(1, 5), (5, 1)] {
        let mut tables = Tables::new(Family::Qos3);
        for index in [left, here] {
            tables.take(Column::ModemMac, &[index], Cell::Octets(&MODEM));
            tables.take(Column::RegMac, &[index], Cell::Octets(&MODEM));
            let present = u8::from(index == here);
            tables.take(Column::ModemIp, &[index], Cell::Octets(&[10 * present, 0, 0, present]));
            tables.take(Column::ModemUp, &[index], Cell::Number(u64::from(present) * 77));
            tables.take(Column::RegStatus, &[index], Cell::Number(1 + 7 * u64::from(present)));
        }
        let modem = modems(&tables).remove(&MODEM).unwrap();
        assert_eq!(
            (modem.ip, modem.up, modem.status),
            (Some([10, 0, 0, 1].into()), 77, Some(8))
        );
    }
}
