//! The few queries that the simulated database understands: LicenseTotals, devices by model, and parts of either.

/// What a query asks for, and the windows on it from the innermost outwards.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    pub what: What,
    pub windows: Vec<Window>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// Column name in the answer, and which of the function's five columns it is.
    LicenseTotals(Vec<(String, usize)>),
    /// Column name, and whether it is the count.
    DevicesByModel(Vec<(String, bool)>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    pub skip: usize,
    pub take: usize,
}

impl Query {
    pub fn read(sql: &str) -> Option<Query> {
        select(&words(sql))
    }
}

fn select(words: &[String]) -> Option<Query> {
    let mut rest = words.strip_prefix(&["select".to_owned()])?;
    let mut window = Window {
        skip: 0,
        take: usize::MAX,
    };
    if let [word, number, after @ ..] = rest
        && word == "skip"
    {
        window.skip = number.parse().ok()?;
        rest = after;
    }
    if let [word, number, after @ ..] = rest
        && (word == "limit" || word == "first")
    {
        window.take = number.parse().ok()?;
        rest = after;
    }
    let from = rest.iter().position(|word| word == "from")?;
    let (columns, source) = (&rest[..from], &rest[from + 1..]);
    let mut query = match source {
        [open, inner @ .., close] if open == "(" && close == ")" && columns == ["*"] => select(inner)?,
        _ => Query {
            what: license_totals(columns, source).or_else(|| devices_by_model(columns, source))?,
            windows: Vec::new(),
        },
    };
    query.windows.push(window);
    Some(query)
}

fn license_totals(columns: &[String], source: &[String]) -> Option<What> {
    let (function, aliases) = source.split_at_checked(7)?;
    if function.concat() != "table(functionlicensetotals())" {
        return None;
    }
    let aliases = aliases
        .strip_prefix(&["(".to_owned()])?
        .strip_suffix(&[")".to_owned()])?;
    let names: Vec<&String> = aliases
        .split(|word| word == ",")
        .map(|of| of.first())
        .collect::<Option<_>>()?;
    if names.len() != 5 || aliases.len() != 9 {
        return None;
    }
    let wanted: Vec<&String> = match columns {
        [all] if all == "*" => names.clone(),
        _ => columns
            .split(|word| word == ",")
            .map(|of| match of {
                [column] => Some(column),
                _ => None,
            })
            .collect::<Option<_>>()?,
    };
    wanted
        .into_iter()
        .map(|column| Some((column.clone(), names.iter().position(|name| *name == column)?)))
        .collect::<Option<_>>()
        .map(What::LicenseTotals)
}

fn devices_by_model(columns: &[String], source: &[String]) -> Option<What> {
    let has = |word: &str| source.iter().any(|of| of == word);
    if !(has("device") && has("typemodel") && has("group")) {
        return None;
    }
    let columns: Vec<(String, bool)> = columns
        .split(|word| word == ",")
        .map(|of| {
            Some((
                of.last()?.rsplit('.').next()?.to_owned(),
                of.concat().starts_with("count(*)"),
            ))
        })
        .collect::<Option<_>>()?;
    let counts = columns.iter().filter(|(_, is_count)| *is_count).count();
    (columns.len() == 2 && counts == 1).then_some(What::DevicesByModel(columns))
}

/// Words in lower case, numbers, and single signs.
fn words(sql: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in sql.chars() {
        let part_of_word = c.is_alphanumeric() || matches!(c, '_' | '.');
        match (part_of_word, words.last_mut()) {
            (true, Some(word)) if in_word => word.extend(c.to_lowercase()),
            (true, _) => words.push(c.to_lowercase().collect()),
            (false, _) if !c.is_whitespace() => words.push(c.into()),
            _ => {}
        }
        in_word = part_of_word;
    }
    words
}
