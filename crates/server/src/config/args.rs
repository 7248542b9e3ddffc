use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::setting::Setting;
use super::{Given, KEYS, Key};

/// The flags of every key of the configuration, and their environment variables.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigArgs {
    file: Option<PathBuf>,
    given: BTreeMap<&'static str, Given>,
}

const FILE: &str = "config";

impl ConfigArgs {
    /// The config file, if one is named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) fn given(&self, key: &Key) -> Option<Given> {
        self.given.get(key.name).cloned()
    }

    /// Sets `name` unless a flag or the environment did.
    pub(crate) fn set_default(&mut self, name: &'static str, text: &str) {
        let given = || Given { text: text.to_owned(), origin: format!("default of {name}") };
        self.given.entry(name).or_insert_with(given);
    }
}

/// `--data-dir`
pub(super) fn flag(key: &Key) -> String {
    key.name.replace('_', "-")
}

/// `VIVACE_DATA_DIR`
pub(super) fn variable(key: &Key) -> String {
    format!("VIVACE_{}", key.name.to_uppercase())
}

/// What clap wants to borrow for as long as the program runs.
struct Names {
    key: &'static Key,
    flag: String,
    variable: String,
    value: String,
}

static NAMES: LazyLock<Vec<Names>> = LazyLock::new(|| {
    let names = |key| Names { key, flag: flag(key), variable: variable(key), value: value_name(key) };
    KEYS.iter().map(names).collect()
});

fn value_name(key: &Key) -> String {
    key.kind.to_uppercase().replace(' ', "-")
}

fn argument(names: &'static Names) -> Arg {
    let Names { key, flag, variable, value } = names;
    let help = format!("{} [default: {}]", key.doc.trim().replace("\n ", " "), key.default);
    let argument = Arg::new(key.name).long(flag.as_str()).env(variable.as_str()).help(help);
    let argument = argument.help_heading("Configuration");
    if key.kind == <bool as Setting>::KIND {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL")
    } else {
        argument.num_args(1).value_name(value.as_str())
    }
}

impl Args for ConfigArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .env("VIVACE_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("YAML file with the keys below, written with `_` instead of `-`")
            .help_heading("Configuration");
        command.arg(file).args(NAMES.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one::<PathBuf>(FILE).cloned();
        for key in KEYS.iter() {
            let Some(text) = matches.get_one::<String>(key.name) else { continue };
            let origin = match matches.value_source(key.name) {
                Some(ValueSource::EnvVariable) => variable(key),
                _ => format!("--{}", flag(key)),
            };
            self.given.insert(key.name, Given { text: text.clone(), origin });
        }
        Ok(())
    }
}
