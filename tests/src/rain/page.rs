//! The page of the documentation that the tables stand in: each between two lines that say which
//! it is, so that it can be written anew and checked without the rest.

use super::table::Table;

/// The lines that a table stands between.
fn marks(table: Table, members: u32) -> (String, String) {
    let name = table.name();
    (
        format!("<!-- sim rain: {name} {members} -->\n"),
        format!("<!-- end of {name} {members} -->\n"),
    )
}

/// Where a table stands in a page.
fn place(page: &str, table: Table, members: u32) -> Result<core::ops::Range<usize>, String> {
    let (begin, end) = marks(table, members);
    let absent = || format!("the page has no place for {} {members}", table.name());
    let from = page.find(&begin).ok_or_else(absent)? + begin.len();
    let len = page[from..].find(&end).ok_or_else(absent)?;
    Ok(from..from + len)
}

/// Puts a table in its place.
///
/// # Errors
/// When there is none.
pub fn put(page: &mut String, table: Table, members: u32, text: &str) -> Result<(), String> {
    let place = place(page, table, members)?;
    page.replace_range(place, &format!("\n{text}\n"));
    Ok(())
}

/// Compares a table with what stands in its place.
///
/// # Errors
/// The first line that differs, or that there is no place.
pub fn check(page: &str, table: Table, members: u32, text: &str) -> Result<(), String> {
    let place = place(page, table, members)?;
    let written = page[place].trim();
    if written == text.trim() {
        return Ok(());
    }
    let lines = written.lines().zip(text.trim().lines());
    let differs = lines.into_iter().find(|(old, new)| old != new);
    let (old, new) = differs.unwrap_or(("fewer or more lines", "the others"));
    let name = table.name();
    Err(format!(
        "{name} {members} is not what is measured:\n- {old}\n+ {new}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_what_is_checked_and_the_rest_stays() {
        let (begin, end) = marks(Table::Views, 27);
        let mut page = format!("before\n\n{begin}old\n{end}\nafter\n");
        put(&mut page, Table::Views, 27, "| a |\n| b |\n").unwrap();
        assert_eq!(
            page,
            format!("before\n\n{begin}\n| a |\n| b |\n\n{end}\nafter\n")
        );
        check(&page, Table::Views, 27, "| a |\n| b |\n").unwrap();
        let wrong = check(&page, Table::Views, 27, "| a |\n| c |\n").unwrap_err();
        assert!(wrong.ends_with("- | b |\n+ | c |"), "{wrong}");
        assert!(check(&page, Table::Views, 243, "").is_err());
        assert!(put(&mut page, Table::Dead, 27, "").is_err());
    }
}
