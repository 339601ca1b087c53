//! The constants of `ctx-config`, evaluated from its source, so that they are known even when
//! nothing builds.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprCall, ItemConst, ItemMod, Lit, Visibility};

use crate::error::CheckError;

/// Where the constants are.
pub(crate) const SOURCE: &str = "crates/ctx-config/src";

/// How many constants one may lead to, one through another; more is a circle.
const DEPTH: usize = 16;

/// What a constant is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Any integer.
    Int(u128),
    /// A string.
    Text(String),
    /// A `Duration`.
    Time(Duration),
}

/// A public constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Const {
    /// Its name, without the module.
    pub(crate) name: String,
    /// The file, relative to the root.
    pub(crate) file: Utf8PathBuf,
    /// The line of its definition.
    pub(crate) line: usize,
    /// Its value; none for an expression that this module does not evaluate.
    pub(crate) value: Option<Value>,
}

/// Every public constant of `ctx-config`.
pub(crate) fn load(root: &Utf8Path) -> Result<Vec<Const>, CheckError> {
    let mut found = Collector::default();
    let mut sources = sources(&root.join(SOURCE))?;
    sources.sort();
    for path in sources {
        let text = fs_err::read_to_string(&path)?;
        let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let file = syn::parse_file(&text).map_err(|source| CheckError::Rust {
            path: relative.clone(),
            source,
        })?;
        found.file = relative;
        found.visit_file(&file);
    }
    let Collector { consts, exprs, .. } = found;
    let value = |name: &str| {
        exprs
            .get(name)
            .and_then(|expr| evaluate(expr, &exprs, DEPTH))
    };
    let fill = |mut known: Const| {
        known.value = value(&known.name);
        known
    };
    Ok(consts.into_iter().map(fill).collect())
}

/// Every `.rs` file under a directory.
fn sources(directory: &Utf8Path) -> Result<Vec<Utf8PathBuf>, CheckError> {
    if !directory.is_dir() {
        return Err(CheckError::Missing {
            what: format!("{directory} is missing"),
            hint: "the constants of the project live there".to_owned(),
        });
    }
    let mut found = Vec::new();
    for entry in directory.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(sources(entry.path())?);
        } else if entry.path().extension() == Some("rs") {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

#[derive(Default)]
struct Collector {
    file: Utf8PathBuf,
    consts: Vec<Const>,
    exprs: BTreeMap<String, Expr>,
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        let name = item.ident.to_string();
        if matches!(item.vis, Visibility::Public(_)) {
            let line = item.ident.span().start().line;
            let file = self.file.clone();
            self.consts.push(Const {
                name: name.clone(),
                file,
                line,
                value: None,
            });
        }
        self.exprs.insert(name, (*item.expr).clone());
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(item) {
            visit::visit_item_mod(self, item);
        }
    }
}

/// True for a module under `#[cfg(test)]`.
pub(crate) fn is_test(item: &ItemMod) -> bool {
    item.attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && attr
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// First and last line of an item, its attributes included.
pub(crate) fn extent(item: &ItemMod) -> (usize, usize) {
    let first = item
        .attrs
        .first()
        .map_or(item.span(), Spanned::span)
        .start()
        .line;
    (first, item.span().end().line)
}

/// The value of an expression, as far as constants of ours go.
fn evaluate(expr: &Expr, known: &BTreeMap<String, Expr>, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().ok().map(Value::Int),
            Lit::Str(text) => Some(Value::Text(text.value())),
            _ => None,
        },
        Expr::Paren(inner) => evaluate(&inner.expr, known, depth),
        Expr::Group(inner) => evaluate(&inner.expr, known, depth),
        Expr::Cast(inner) => evaluate(&inner.expr, known, depth),
        Expr::Path(path) => {
            let name = path.path.segments.last()?.ident.to_string();
            evaluate(known.get(&name)?, known, depth)
        }
        Expr::Binary(both) => {
            let left = int(evaluate(&both.left, known, depth)?)?;
            let right = int(evaluate(&both.right, known, depth)?)?;
            binary(left, &both.op, right).map(Value::Int)
        }
        Expr::Call(call) => duration(call, known, depth).map(Value::Time),
        _ => None,
    }
}

fn int(value: Value) -> Option<u128> {
    if let Value::Int(number) = value {
        Some(number)
    } else {
        None
    }
}

fn binary(left: u128, operator: &BinOp, right: u128) -> Option<u128> {
    match operator {
        BinOp::Add(_) => left.checked_add(right),
        BinOp::Sub(_) => left.checked_sub(right),
        BinOp::Mul(_) => left.checked_mul(right),
        BinOp::Div(_) => left.checked_div(right),
        BinOp::BitOr(_) => Some(left | right),
        BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
        _ => None,
    }
}

/// `Duration::from_…(n)`.
fn duration(call: &ExprCall, known: &BTreeMap<String, Expr>, depth: usize) -> Option<Duration> {
    let Expr::Path(function) = &*call.func else {
        return None;
    };
    let name = function.path.segments.last()?.ident.to_string();
    let number = int(evaluate(call.args.first()?, known, depth)?)?;
    let number = u64::try_from(number).ok()?;
    match name.as_str() {
        "from_nanos" => Some(Duration::from_nanos(number)),
        "from_micros" => Some(Duration::from_micros(number)),
        "from_millis" => Some(Duration::from_millis(number)),
        "from_secs" => Some(Duration::from_secs(number)),
        "from_mins" => number.checked_mul(60).map(Duration::from_secs),
        "from_hours" => number.checked_mul(3600).map(Duration::from_secs),
        "from_days" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    fn value_of(source: &str, name: &str) -> Option<Value> {
        let sandbox = Sandbox::new();
        sandbox.write(&format!("{SOURCE}/lib.rs"), source);
        let consts = load(sandbox.root()).unwrap();
        consts
            .into_iter()
            .find(|known| known.name == name)
            .unwrap()
            .value
    }

    #[test]
    fn integers_are_evaluated_through_operators_casts_and_names() {
        let source = "const KIB: u64 = 1 << 10;\n\
            pub mod limits { pub const MAX: usize = 16 * super::KIB as usize * (3 + 1_000 - 999); }\n\
            pub const MODE: u32 = 0o600;\n";
        assert_eq!(value_of(source, "MAX"), Some(Value::Int(65_536)));
        assert_eq!(value_of(source, "MODE"), Some(Value::Int(0o600)));
    }

    #[test]
    fn durations_and_strings_are_evaluated() {
        let source = "pub const N: u64 = 5;\n\
            pub const A: Duration = Duration::from_millis(N * 50);\n\
            pub const B: Duration = std::time::Duration::from_mins(2);\n\
            pub const C: &str = \"x.json\";\n";
        assert_eq!(
            value_of(source, "A"),
            Some(Value::Time(Duration::from_millis(250)))
        );
        assert_eq!(
            value_of(source, "B"),
            Some(Value::Time(Duration::from_secs(120)))
        );
        assert_eq!(
            value_of(source, "C"),
            Some(Value::Text("x.json".to_owned()))
        );
    }

    #[test]
    fn what_cannot_be_evaluated_is_known_without_a_value() {
        let source = "pub const A: u8 = B;\npub const B: u8 = A;\npub const C: X = X::new();\n\
            pub const D: u8 = 1 - 2;\n";
        for name in ["A", "B", "C", "D"] {
            assert_eq!(value_of(source, name), None, "{name}");
        }
    }

    #[test]
    fn private_constants_and_those_of_tests_are_not_listed() {
        let sandbox = Sandbox::new();
        let source = "const A: u8 = 1;\n#[cfg(test)]\nmod tests { pub const B: u8 = 1; }\n\n\
            pub const C: u8 = 1;\n";
        sandbox.write(&format!("{SOURCE}/deep/file.rs"), source);
        let consts = load(sandbox.root()).unwrap();
        assert_eq!(consts.len(), 1);
        assert_eq!((consts[0].name.as_str(), consts[0].line), ("C", 5));
        assert_eq!(consts[0].file, format!("{SOURCE}/deep/file.rs"));
    }
}
