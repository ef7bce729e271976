//! What the command line itself says: name, synopsis, description, options.

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;

use super::markup::escape;

/// `billdrop-capture`
pub fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The sections that stand before the handwritten ones.
pub fn sections(command: &Command) -> String {
    let about = command.get_about().unwrap().to_string();
    let mut text = format!(".SH NAME\n{} \\- {}\n", escape(name(command)), escape(&lower(&about)));
    text += &synopsis(command);
    text += &description(command);
    if command.has_subcommands() {
        text += ".SH COMMANDS\n";
        for command in command.get_subcommands() {
            let about = command.get_about().unwrap().to_string();
            text += &format!(".TP\n.BR {} (1)\n{}.\n", escape(name(command)), escape(&about));
        }
    }
    text + &options(command)
}

fn description(command: &Command) -> String {
    let long = command.get_long_about().or_else(|| command.get_about()).unwrap();
    let paragraphs: Vec<String> = long
        .to_string()
        .split("\n\n")
        .map(|paragraph| escape(paragraph).trim_end_matches('.').replace(". ", ".\n") + ".\n")
        .collect();
    ".SH DESCRIPTION\n".to_owned() + &paragraphs.join(".PP\n")
}

fn options(command: &Command) -> String {
    let mut made = Vec::new();
    Man::new(command.clone()).render_options_section(&mut made).unwrap();
    let made = String::from_utf8(made).unwrap();
    // The library begins with definitions that nothing else here uses, and sets a break too many before lists.
    let used = made
        .lines()
        .filter(|line| !line.starts_with(".ie ") && !line.starts_with(".el ") && !line.is_empty() && *line != ".br");
    used.map(|line| line.trim_end().replace("\\*(Aq", "\\(aq") + "\n")
        .collect::<String>()
        .replace("\\fIPossible values:\\fR\n", ".RS\n\\fIPossible values:\\fR\n.RE\n")
}

/// Names of commands stay as they are; the sentence goes on after a dash.
fn lower(about: &str) -> String {
    let mut chars = about.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().collect()) + chars.as_str()
}

/// Options that every command has are summed up as `[OPTIONS]`; they are explained below like all others.
fn synopsis(command: &Command) -> String {
    let bin = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut text = format!(".SH SYNOPSIS\n\\fB{}\\fR", escape(bin));
    if command.has_subcommands() {
        return text + " [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n";
    }
    text += " [\\fIOPTIONS\\fR]";
    let own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help" && arg.get_id() != "version";
    for arg in command.get_arguments().filter(own) {
        text += &format!(" {}", usage(arg));
    }
    text + "\n"
}

fn usage(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .and_then(|names| names.first())
        .map(|value| format!("\\fI{}\\fR", escape(value)));
    let repeated = matches!(arg.get_action(), ArgAction::Append);
    let text = match (arg.get_long(), value) {
        (None, value) => value.unwrap_or_default(),
        (Some(long), value) => {
            let long = format!("\\fB\\-\\-{}\\fR", escape(long));
            match value.filter(|_| arg.get_action().takes_values()) {
                None => long,
                Some(value) if arg.is_require_equals_set() => format!("{long}[={value}]"),
                Some(value) => format!("{long} {value}"),
            }
        }
    };
    let text = match arg.is_required_set() {
        true => text,
        false => format!("[{text}]"),
    };
    if repeated { format!("{text}...") } else { text }
}
