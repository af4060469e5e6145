"""Projects, cases, readers, what they say and every change of it."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("folded_name", sa.String, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("vocabulary", sa.Text, nullable=False),
        sa.Column("instructions", sa.Text, nullable=False),
        sa.Column("data_name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("folded_name", name="uq_projects_folded_name"),
    )
    op.create_table(
        "readers",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("folded_name", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_readers"),
        sa.UniqueConstraint("folded_name", name="uq_readers_folded_name"),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("project_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("image_id", sa.String, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_cases_project_id"),
        sa.UniqueConstraint("project_id", "position", name="uq_cases_project_id_position"),
        sa.UniqueConstraint("project_id", "image_id", name="uq_cases_project_id_image_id"),
    )
    op.create_table(
        "annotations",
        sa.Column("case_id", sa.Integer, nullable=False),
        sa.Column("reader_id", sa.Integer, nullable=False),
        sa.Column("project_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("flagged", sa.Boolean, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "reader_id", name="pk_annotations"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_annotations_case_id"),
        sa.ForeignKeyConstraint(["reader_id"], ["readers.id"], name="fk_annotations_reader_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_annotations_project_id"),
    )
    for columns in (
        ["project_id", "case_id", "reader_id"],
        ["project_id", "reader_id", "status", "flagged", "case_id"],
    ):
        op.create_index(f"ix_annotations_{'_'.join(columns)}", "annotations", columns)
    op.create_table(
        "changes",
        sa.Column("case_id", sa.Integer, nullable=False),
        sa.Column("reader_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("author_id", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "reader_id", "revision", name="pk_changes"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_changes_case_id"),
        sa.ForeignKeyConstraint(["reader_id"], ["readers.id"], name="fk_changes_reader_id"),
        sa.ForeignKeyConstraint(["author_id"], ["readers.id"], name="fk_changes_author_id"),
        sa.UniqueConstraint("case_id", "reader_id", "key", name="uq_changes_case_id_reader_id_key"),
    )
