mod invalid;
mod limits;
mod valid;
