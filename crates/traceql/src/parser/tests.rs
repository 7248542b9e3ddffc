mod attributes;
mod errors;
mod limits;
