"""Results in files: the same values, errors, treedef and report; without code, without pickle."""

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import certified

import mtkparams as mtk
from mtkparams._fitting.file import decoded, encoded
from mtkparams.errors import FileError, KindError, MismatchError


def declare(start=250.0):
    return mtk.parameters(
        {
            "b1": mtk.Parameter(start, bounds=(0.0, None), unit="mmHg"),
            "b2": 0.0005,
            "offset": 0.0,
        }
    )


def residuals(p):
    model, x, y, *_ = certified.MISRA1A
    return model([p["b1"], p["b2"]], x) + p["offset"] - y


@pytest.fixture(scope="module")
def result():
    return mtk.fitting.least_squares(residuals, declare(), free=["b1", "b2"])


@pytest.fixture
def path(tmp_path, result):
    mtk.fitting.save(tmp_path / "misra.fit", result)
    return tmp_path / "misra.fit"


def test_values_errors_and_report_come_back(path, result):
    loaded = mtk.fitting.load(path)
    assert loaded.values == result.values
    assert loaded.stderr == result.stderr
    np.testing.assert_array_equal(loaded.covariance, result.covariance)
    np.testing.assert_array_equal(loaded.losses, result.losses)
    assert loaded.p == result.p
    assert loaded.p["b1"] == result.p["b1"]
    assert str(loaded.report()) == str(result.report())
    assert loaded.report()._repr_html_() == result.report()._repr_html_()
    assert repr(loaded) == repr(result)
    assert loaded.kind == result.kind
    assert (loaded.lower == result.lower).all()
    product = lambda p: p.b1 * p.b2
    # Computed again, and so to rounding alone.
    again = loaded.estimate(product).stderr
    assert again == pytest.approx(result.estimate(product).stderr, rel=1e-12)


def test_copies_of_a_loaded_fit_know_the_same(path, result):
    copy = jax.tree.map(lambda x: x, mtk.fitting.load(path))
    assert copy.stderr == result.stderr
    assert str(copy.report()) == str(result.report())


def test_with_its_objective_it_is_the_same_object(path, result):
    loaded = mtk.fitting.load(path, like=result.objective)
    assert jax.tree.structure(loaded) == jax.tree.structure(result)
    same = jax.tree.map(lambda a, b: bool(np.all(a == b)), loaded, result)
    assert all(jax.tree.leaves(same))
    assert loaded.profile("b1").interval == result.profile("b1").interval
    again = mtk.fitting.load(path, like=result)
    assert again.objective is result.objective


def test_without_equations_it_says_so(path):
    loaded = mtk.fitting.load(path)
    with pytest.raises(KindError, match="files hold no equations.*like=objective"):
        loaded.profile("b1")
    with pytest.raises(KindError, match="files hold no equations"):
        loaded.objective(loaded.v)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda: declare().set({"offset": 1.0}), "differs in offset"),
        (declare, "differs in labels"),
    ],
)
def test_another_objective_is_refused(path, other, text):
    free = ["b1", "b2"] if "offset" in text else ["b1"]
    objective = mtk.fitting.least_squares(residuals, other(), free=free, steps=1).objective
    with pytest.raises(MismatchError, match=text):
        mtk.fitting.load(path, like=objective)


def test_parameters_with_code_need_a_declaration(tmp_path):
    def declare():
        return mtk.parameters({"a": 1.0, "twice": mtk.Parameter(bind=lambda p: 2 * p.a)})

    x = np.arange(4.0)
    result = mtk.fitting.least_squares(lambda p: p["twice"] * x - 3 * x - 0.1 * x**2, declare())
    mtk.fitting.save(tmp_path / "a.fit", result)
    with pytest.raises(FileError, match="'twice' is a binding"):
        mtk.fitting.load(tmp_path / "a.fit")
    loaded = mtk.fitting.load(tmp_path / "a.fit", like=declare())
    assert loaded["twice"] == result["twice"]
    assert str(loaded.report()) == str(result.report())


def test_a_loss_has_no_errors_in_the_file_either(tmp_path):
    result = mtk.fitting.minimise(lambda p: (p["a"] - 2.0) ** 2, mtk.parameters({"a": 1.0}))
    mtk.fitting.save(tmp_path / "a.fit", result)
    loaded = mtk.fitting.load(tmp_path / "a.fit")
    assert str(loaded.report()) == str(result.report())
    with pytest.raises(KindError, match="fit of a loss"):
        _ = loaded.stderr


def test_open_directions_and_infinite_errors_come_back(tmp_path):
    x = jnp.linspace(0.0, 1.0, 5)
    p = mtk.parameters({"a": 1.0, "b": 2.0, "idle": 1.0})
    result = mtk.fitting.least_squares(lambda p: p["a"] * p["b"] * x - 3 * x + x**2, p)
    mtk.fitting.save(tmp_path / "a.fit", result)
    loaded = mtk.fitting.load(tmp_path / "a.fit")
    assert loaded.stderr == result.stderr
    assert loaded.stderr["a"] == np.inf
    assert [d.text for d in loaded.uncertainty.directions] == [
        d.text for d in result.uncertainty.directions
    ]
    assert "only as the product a*b" in str(loaded.report())


def test_many_starts_come_back(tmp_path):
    # Two valleys, and one start that cannot be computed.
    loss = lambda p: jnp.where(p["a"] < 9.0, (p["a"] ** 2 - 1) ** 2 + 0.1 * p["a"], jnp.nan)
    starts = {"a": np.array([-0.8, 0.9, 1.1, 20.0])}
    result = mtk.fitting.minimise(loss, mtk.parameters({"a": 0.5}), starts=starts)
    text = str(result.report())
    assert "the best of 4 starts, 1 of which ended there, 1 failed" in text
    mtk.fitting.save(tmp_path / "a.fit", result)
    loaded = mtk.fitting.load(tmp_path / "a.fit")
    assert str(loaded.report()) == text
    assert str(loaded.starts) == str(result.starts)
    assert loaded.starts is not None
    assert result.starts is not None
    assert loaded.starts.rows() == result.starts.rows()
    # Files of earlier versions call the table by another name.
    members = {}
    stored = encoded(result.starts, members)
    assert str(decoded({**stored, "class": "Starts"}, members)) == str(result.starts)
    pytest.importorskip("matplotlib")
    figure = loaded.plot_waterfall()
    assert figure.axes[0].get_title(loc="left") == "4 starts, 1 of them failed"


def test_files_hold_no_code_and_are_checked(path, tmp_path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert all(name.endswith((".json", ".npy", ".mtk")) for name in names)
    content = path.read_bytes()
    assert b"pickle" not in content
    path.write_bytes(content[:-10])
    with pytest.raises(FileError, match="cut short"):
        mtk.fitting.load(path)
    mtk.io.save(path, declare())
    with pytest.raises(FileError, match=r"another kind.*mtk\.io\.load reads it"):
        mtk.fitting.load(path)
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"another kind.*mtk\.fitting\.load reads it"):
        mtk.io.load(path)


def test_equal_results_give_equal_bytes(path, tmp_path):
    mtk.fitting.save(tmp_path / "again.fit", mtk.fitting.load(path))
    assert (tmp_path / "again.fit").read_bytes() == path.read_bytes()
