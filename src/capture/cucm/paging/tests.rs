use super::*;
use crate::protocol::axl::Fault;

/// A server that refuses more than `most` rows, and serves a page as `serve` says.
fn asked(
    table: &[u64],
    most: u64,
    fault: Fault,
    mut serve: impl FnMut(usize, Page) -> Vec<u64>,
) -> (Result<Rows, Trouble>, Vec<u64>, Vec<Page>) {
    let mut taken = Vec::new();
    let mut pages = Vec::new();
    let mut each = |row, _: Date| {
        taken.push(row);
        Ok(())
    };
    let result = in_pages(&mut each, |page, each| {
        let rows = match page {
            None => table.to_vec(),
            Some(page) => {
                pages.push(page);
                assert!(pages.len() < 1000, "it asks for ever");
                serve(pages.len(), page)
            }
        };
        // A page is refused by what was asked for, not by what comes.
        if page.is_none_or(|page| page.first > most) && rows.len() as u64 > most {
            return Err(Trouble::Fault(fault.clone()));
        }
        let count = rows.len() as u64;
        rows.into_iter().try_for_each(|row| each(row, None)).unwrap();
        Ok(count)
    });
    (result, taken, pages)
}

fn too_large(matched: Option<u64>, fewer_than: Option<u64>) -> Fault {
    Fault {
        code: Some(-1),
        text: String::new(),
        request: None,
        meaning: Meaning::TooLarge { matched, fewer_than },
    }
}

fn window(table: &[u64], page: Page) -> Vec<u64> {
    let rows = table.iter().skip(page.skip as usize).take(page.first as usize);
    rows.copied().collect()
}

fn table(rows: u64) -> Vec<u64> {
    (0..rows).collect()
}

#[test]
fn every_row_comes_exactly_once_by_the_suggestion() {
    let table = table(1000);
    let (result, taken, pages) = asked(&table, 299, too_large(Some(1000), Some(300)), |_, page| {
        window(&table, page)
    });
    assert_eq!(taken, table);
    assert_eq!(
        result.unwrap(),
        Rows {
            count: 1000,
            missing: None
        }
    );
    let skips: Vec<u64> = pages.iter().map(|page| page.skip).collect();
    assert_eq!(skips, [0, 180, 360, 540, 720, 900]);
    assert!(pages.iter().all(|page| page.first == 180));
}

#[test]
fn a_page_that_is_still_too_large_is_asked_for_again_at_half_the_size() {
    let table = table(100);
    let (result, taken, pages) = asked(&table, 20, too_large(None, Some(90)), |_, page| window(&table, page));
    assert_eq!(taken, table);
    assert_eq!(result.unwrap().missing, None);
    let firsts: Vec<u64> = pages.iter().map(|page| page.first).collect();
    assert_eq!(firsts[..3], [54, 27, 13]);
}

#[test]
fn a_server_that_gives_fewer_rows_than_asked_for_is_asked_for_the_rest() {
    let table = table(1000);
    for matched in [Some(1000), None] {
        let (result, taken, pages) = asked(&table, 600, too_large(matched, Some(601)), |_, page| {
            window(&table, Page { first: 100, ..page })
        });
        assert_eq!(taken, table);
        assert_eq!(result.unwrap().missing, None);
        // Without a number only an empty page is the end.
        assert_eq!(pages.len(), if matched.is_some() { 10 } else { 11 });
    }
}

#[test]
fn the_same_page_again_is_noticed_and_not_handed_on() {
    let table = table(1000);
    let (result, taken, pages) = asked(&table, 100, too_large(Some(1000), Some(101)), |_, page| {
        window(&table, Page { skip: 0, ..page })
    });
    assert_eq!(taken, table[..60]);
    assert_eq!(pages.len(), 2);
    let missing = result.unwrap().missing.unwrap();
    assert_eq!(
        missing,
        "60 rows came again on a later page; they are left out, and others may be missing; \
         60 rows came where the server had counted 1000; the table may have changed meanwhile"
    );
}

#[test]
fn more_rows_than_asked_for_are_taken_once_and_told() {
    let table = table(1000);
    let (result, taken, pages) = asked(&table, 100, too_large(Some(1000), Some(101)), |_, _| table.clone());
    assert_eq!(taken, table);
    assert_eq!(pages.len(), 1);
    let missing = result.unwrap().missing.unwrap();
    assert_eq!(
        missing,
        "a page of 60 rows was asked for and 1000 came, so the next page cannot be told"
    );
}

#[test]
fn a_table_that_moves_under_the_pages_is_told() {
    let whole = table(200);
    // After the first page one of its rows goes: the rest moves up, and row 60 is never seen.
    let (result, taken, _) = asked(
        &whole,
        100,
        too_large(Some(200), Some(101)),
        |number, page| match number {
            1 => window(&whole, page),
            _ => window(&whole[1..], page),
        },
    );
    assert!(!taken.contains(&60));
    let missing = result.unwrap().missing.unwrap();
    assert!(
        missing.starts_with("199 rows came where the server had counted 200"),
        "{missing}"
    );
    // Before the second page one comes in front: row 59 comes again.
    let grown: Vec<u64> = [999].into_iter().chain(whole.iter().copied()).collect();
    let (result, mut taken, _) = asked(
        &whole,
        100,
        too_large(Some(200), Some(101)),
        |number, page| match number {
            1 => window(&whole, page),
            _ => window(&grown, page),
        },
    );
    let missing = result.unwrap().missing.unwrap();
    assert!(missing.starts_with("1 rows came again on a later page"), "{missing}");
    let count = taken.len();
    taken.dedup();
    assert_eq!(taken.len(), count, "no row is handed on twice");
}

#[test]
fn rows_that_are_alike_on_one_page_stay_apart() {
    let table = [7, 7, 7, 8, 9];
    let (result, taken, _) = asked(&table, 4, too_large(Some(5), Some(6)), |_, page| window(&table, page));
    assert_eq!(taken, table);
    assert_eq!(result.unwrap().missing, None);
}

#[test]
fn a_suggestion_may_be_any_number() {
    for (fewer_than, first) in [
        (None, Some(500)),
        (Some(0), Some(500)),
        (Some(1), Some(500)),
        (Some(2), Some(1)),
        (Some(3), Some(1)),
        (Some(844), Some(506)),
        (Some(u64::MAX), Some(u64::MAX / 2)),
    ] {
        let trouble = Trouble::Fault(too_large(None, fewer_than));
        assert_eq!(smaller(&trouble, u64::MAX), first, "{fewer_than:?}");
        assert_eq!(smaller(&trouble, 1), None);
    }
}

#[test]
fn one_row_that_is_too_large_ends_it() {
    let table = table(10);
    let (result, taken, pages) = asked(&table, 0, too_large(Some(10), Some(1)), |_, page| window(&table, page));
    assert!(matches!(result, Err(Trouble::Fault(_))));
    assert!(taken.is_empty());
    assert_eq!(pages.len(), 9, "500, 250, .. 1");
}

#[test]
fn a_server_whose_rows_have_no_end_is_stopped() {
    let mut next = 0;
    let (result, taken, pages) = asked(&table(800_000), 700_000, too_large(None, Some(1_000_000)), |_, page| {
        let from = next;
        next += page.first;
        (from..next).collect()
    });
    let rows = result.unwrap();
    assert!(taken.len() as u64 >= MOST && pages.len() < 10, "{} pages", pages.len());
    assert!(
        rows.missing
            .unwrap()
            .contains("no more than 1000000 rows are asked for")
    );
}
