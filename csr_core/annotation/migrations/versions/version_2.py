"""The orders in which a model would ask for the cases."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Give every case a place in every order: as listed, until a model says otherwise."""
    op.add_column("projects", sa.Column("ranked_by", sa.String, nullable=True))
    for order in ("undecided_place", "diverse_place"):
        op.add_column(
            "cases", sa.Column(order, sa.Integer, nullable=False, server_default=sa.text("0"))
        )
        op.execute(f"UPDATE cases SET {order} = position")
        op.create_index(f"ix_cases_project_id_{order}", "cases", ["project_id", order])
