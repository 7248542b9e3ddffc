use super::*;

#[test]
fn column_names_read_back() {
    for scope in AttributeScope::ALL {
        for value_type in [ValueType::String, ValueType::Bool, ValueType::Int, ValueType::Float] {
            for key in ["http.status_code", "a:int", "", "span.x", "ünïcode key"] {
                let column = AttributeColumn { scope, key: key.to_owned(), value_type };
                assert_eq!(AttributeColumn::from_column_name(&column.column_name()), Some(column));
            }
        }
    }
}

#[test]
fn fixed_columns_are_no_attributes() {
    for field in span_schema().fields() {
        assert_eq!(AttributeColumn::from_column_name(field.name()), None, "{}", field.name());
    }
}

#[test]
fn type_codes_read_back() {
    for code in 0..=5 {
        assert_eq!(ValueType::from_code(code).map(|t| t as i8), Some(code));
    }
    assert_eq!(ValueType::from_code(6), None);
}
