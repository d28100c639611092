"""Views: what a page asks and shows, without Streamlit. One file per page."""
