"""The app: page config and navigation. Run with ``streamlit run app.py``."""

import streamlit as st

from mtl_core.data import own
from mtl_core.views.turns import in_turn
from pages.parts import stage, visitors
from pages.parts.arrival import arrived, settle
from pages.parts.readable import readable


@in_turn
def main() -> None:
    """Draw the page that a visitor asks for."""
    own.only()  # a link that anybody wrote names files
    st.set_page_config(page_title="Multi-task transfer", page_icon="docs/icon.png", layout="wide")
    bare = stage.arrive().bare
    readable()

    page = st.navigation(
        {
            "Explore": [
                st.Page(
                    "pages/overview.py",
                    title="Overview",
                    icon=":material/show_chart:",
                    default=True,
                ),
                st.Page("pages/what_if.py", title="What if", icon=":material/experiment:"),
                st.Page(
                    "pages/which_auxiliary.py",
                    title="Which auxiliary",
                    icon=":material/sports_score:",
                ),
                st.Page("pages/pareto_front.py", title="Pareto front", icon=":material/balance:"),
                st.Page(
                    "pages/gradient_playground.py",
                    title="Gradient playground",
                    icon=":material/explore:",
                ),
            ],
            "Lessons": [
                st.Page("pages/lessons.py", title="Lessons", icon=":material/school:"),
            ],
            "The papers": [
                st.Page("pages/evidence.py", title="Evidence", icon=":material/fact_check:"),
                st.Page(
                    "pages/generalization_gap.py",
                    title="Generalization gap",
                    icon=":material/stacked_line_chart:",
                ),
                st.Page("pages/factors.py", title="Factors", icon=":material/landscape:"),
                st.Page("pages/smtos.py", title="Optimizers", icon=":material/scatter_plot:"),
                st.Page("pages/conflict.py", title="Conflict", icon=":material/call_split:"),
            ],
            "Library": [
                st.Page("pages/library.py", title="Library", icon=":material/library_books:"),
            ],
        },
        position="hidden" if bare else "top",
    )
    if visitors.admitted():
        arrived()
        page.run()
        settle()


main()
