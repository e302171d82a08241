#include "scheduler/gradient_partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/random.h"
#include "scheduler/closed_forms.h"

namespace weft {
namespace {

struct Instance {
  std::vector<PartitionWindow> windows;
  int64_t at_the_end = 0;
  std::vector<double> end_seconds;
};

int64_t Total(const Instance& instance) {
  return std::accumulate(
      instance.windows.begin(), instance.windows.end(), instance.at_the_end,
      [](int64_t sum, const PartitionWindow& window) { return sum + window.produced; });
}

GradientPartition Partition(const Instance& instance) {
  return PartitionGradients(instance.windows, instance.at_the_end, instance.end_seconds);
}

// Non-decreasing, with flat pieces and steps.
std::vector<double> RandomTable(const CounterRng& random, uint64_t& draw, int64_t size) {
  std::vector<double> seconds = {random.Uniform(draw++)};
  for (int64_t i = 1; i < size; ++i) {
    const double step = random.Bits(draw++) % 3 == 0 ? 0 : random.Uniform(draw++);
    seconds.push_back(seconds.back() + step);
  }
  return seconds;
}

Instance RandomInstance(const CounterRng& random, uint64_t& draw) {
  Instance instance;
  const size_t windows = random.Bits(draw++) % 5;
  for (size_t i = 0; i < windows; ++i) {
    PartitionWindow window;
    window.produced = static_cast<int64_t>(random.Bits(draw++) % 4);
    window.seconds = RandomTable(random, draw, 1 + static_cast<int64_t>(random.Bits(draw++) % 6));
    instance.windows.push_back(window);
  }
  instance.at_the_end = static_cast<int64_t>(random.Bits(draw++) % 3);
  instance.end_seconds = RandomTable(random, draw, Total(instance) + 1);
  return instance;
}

// Seconds of a partition by the definition; infinite when a window cannot carry its share or sends
// what is not there yet.
double SecondsOf(const Instance& instance, const std::vector<int64_t>& quanta) {
  double seconds = 0;
  int64_t there = 0;
  for (size_t i = 0; i < quanta.size(); ++i) {
    const PartitionWindow& window = instance.windows[i];
    there += window.produced - quanta[i];
    if (there < 0 || quanta[i] >= static_cast<int64_t>(window.seconds.size())) return INFINITY;
    seconds += window.seconds[static_cast<size_t>(quanta[i])];
  }
  return seconds + instance.end_seconds[static_cast<size_t>(there + instance.at_the_end)];
}

double BruteForce(const Instance& instance, std::vector<int64_t>& quanta) {
  if (quanta.size() == instance.windows.size()) return SecondsOf(instance, quanta);
  double best = INFINITY;
  for (int64_t x = 0; x <= Total(instance); ++x) {
    quanta.push_back(x);
    best = std::min(best, BruteForce(instance, quanta));
    quanta.pop_back();
  }
  return best;
}

TEST(GradientPartitionTest, IsTheBestOfAllPartitions) {
  const CounterRng random(1, "gradient_partition");
  uint64_t draw = 0;
  int placed = 0;
  for (int i = 0; i < 500; ++i) {
    const Instance instance = RandomInstance(random, draw);
    const GradientPartition partition = Partition(instance);
    ASSERT_EQ(partition.quanta.size(), instance.windows.size()) << i;
    // What it says it costs is what it costs, and that it is causal.
    ASSERT_NEAR(SecondsOf(instance, partition.quanta), partition.seconds, 1e-12) << i;
    std::vector<int64_t> quanta;
    ASSERT_NEAR(BruteForce(instance, quanta), partition.seconds, 1e-12) << i;
    placed += std::any_of(partition.quanta.begin(), partition.quanta.end(),
                          [](int64_t x) { return x > 0; });
  }
  EXPECT_GT(placed, 100);
}

TEST(GradientPartitionTest, WithoutWindowsEverythingGoesToTheEnd) {
  const GradientPartition partition = PartitionGradients({}, 3, {0, 1, 2, 5});
  EXPECT_TRUE(partition.quanta.empty());
  EXPECT_EQ(partition.seconds, 5);
}

TEST(GradientPartitionTest, WhatIsProducedAtTheEndCannotGoBack) {
  // Windows for nothing, but no gradient is there yet.
  const std::vector<PartitionWindow> windows(3, PartitionWindow{0, {1, 1, 1, 1}});
  const GradientPartition partition = PartitionGradients(windows, 3, {0, 1, 2, 5});
  EXPECT_EQ(partition.quanta, (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(partition.seconds, 3 + 5);
}

TEST(GradientPartitionTest, NothingProducedCostsTheWindowsAlone) {
  const GradientPartition partition =
      PartitionGradients({PartitionWindow{0, {2, 3}}, PartitionWindow{0, {4}}}, 0, {7});
  EXPECT_EQ(partition.quanta, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(partition.seconds, 2 + 4 + 7);
}

TEST(GradientPartitionTest, AGradientWaitsForAWindowBehindItsLayer) {
  // The first window is free but produces nothing by itself; the second carries both at a price.
  const std::vector<PartitionWindow> windows = {PartitionWindow{0, {0, 0, 0}},
                                                PartitionWindow{2, {0, 1, 2}}};
  const GradientPartition partition = PartitionGradients(windows, 0, {0, 10, 20});
  EXPECT_EQ(partition.quanta, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(partition.seconds, 2);
}

TEST(GradientPartitionTest, TiesGoToLaterWindows) {
  const std::vector<PartitionWindow> windows(3, PartitionWindow{1, {1, 1, 1, 1}});
  const GradientPartition cheap_end = PartitionGradients(windows, 0, {0, 0, 0, 0});
  EXPECT_EQ(cheap_end.quanta, (std::vector<int64_t>{0, 0, 0}));
  const GradientPartition dear_end = PartitionGradients(windows, 0, {0, 1, 1, 1});
  EXPECT_EQ(dear_end.quanta, (std::vector<int64_t>{0, 0, 3}));
}

// --- against the paper's method ---

// alpha + beta * n of every task of a layer, and of its gradients.
struct Line {
  double alpha = 0;
  double beta = 0;
  double operator()(double n) const { return alpha + beta * n; }
};
struct ContinuousWindow {
  Line a, g, e, s;      // of the whole layer: a chunk carries 1/r of it
  double produced = 0;  // gradient seconds of work without alpha, i.e. beta_ar = 1
};
struct ContinuousInstance {
  std::vector<ContinuousWindow> windows;
  double at_the_end = 0;
  double alpha_ar = 0;
};

constexpr int kMaxDegree = 8;

double GradientSeconds(const ContinuousInstance& instance, double x) {
  return x > 0 ? instance.alpha_ar + x : 0;
}

// f(t_ar(x)) of scheduling theory: the layer's time with x in its window, solved again for r.
double WindowSeconds(const ContinuousInstance& instance, const ContinuousWindow& window, double x) {
  double best = INFINITY;
  for (int r = 1; r <= kMaxDegree; ++r) {
    const LayerTimes times{window.a(1.0 / r), window.g(1.0 / r), window.e(1.0 / r),
                           window.s(1.0 / r), GradientSeconds(instance, x)};
    best = std::min(best, PipelineSeconds(times, r));
  }
  return best;
}

// Storn and Price's rand/1/bin over the share of what is there that each window takes, so that
// every individual is causal.
class DifferentialEvolution {
 public:
  DifferentialEvolution(const ContinuousInstance& instance, uint64_t seed)
      : instance_(instance), random_(seed, "differential_evolution") {}

  double Run(int population, int generations) {
    const size_t n = instance_.windows.size();
    std::vector<std::vector<double>> members;
    std::vector<double> seconds;
    for (int i = 0; i < population; ++i) {
      members.emplace_back();
      for (size_t k = 0; k < n; ++k) members.back().push_back(random_.Uniform(draw_++));
      seconds.push_back(Seconds(members.back()));
    }
    for (int generation = 0; generation < generations; ++generation) {
      for (size_t i = 0; i < members.size(); ++i) {
        const std::vector<double> trial = Trial(members, i);
        const double of_trial = Seconds(trial);
        if (of_trial > seconds[i]) continue;
        members[i] = trial;
        seconds[i] = of_trial;
      }
    }
    return *std::min_element(seconds.begin(), seconds.end());
  }

 private:
  double Seconds(const std::vector<double>& shares) const {
    double there = 0;
    double seconds = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      there += instance_.windows[i].produced;
      const double x = shares[i] < kNothing ? 0 : shares[i] * there;
      there -= x;
      seconds += WindowSeconds(instance_, instance_.windows[i], x);
    }
    return seconds + GradientSeconds(instance_, there + instance_.at_the_end);
  }

  std::vector<double> Trial(const std::vector<std::vector<double>>& members, size_t target) {
    const auto other = [&] { return random_.Bits(draw_++) % members.size(); };
    const size_t a = other();
    const size_t b = other();
    const size_t c = other();
    std::vector<double> trial = members[target];
    const size_t certain = random_.Bits(draw_++) % trial.size();
    for (size_t k = 0; k < trial.size(); ++k) {
      if (k != certain && random_.Uniform(draw_++) > kCrossover) continue;
      trial[k] = std::clamp(members[a][k] + kWeight * (members[b][k] - members[c][k]), 0.0, 1.0);
    }
    return trial;
  }

  static constexpr double kWeight = 0.6;
  static constexpr double kCrossover = 0.7;
  static constexpr double kNothing = 1e-3;  // a share too small to be worth a start
  const ContinuousInstance& instance_;
  CounterRng random_;
  uint64_t draw_ = 0;
};

ContinuousInstance RandomContinuous(const CounterRng& random, uint64_t& draw, double quantum) {
  const auto line = [&](double middle) {
    const double beta = middle * std::pow(10, random.Uniform(draw++) - 0.5);
    return Line{0.05 * random.Uniform(draw++), beta};
  };
  ContinuousInstance instance;
  instance.alpha_ar = 0.1 * random.Uniform(draw++);
  const size_t windows = 2 + random.Bits(draw++) % 5;
  const auto amount = [&] { return quantum * std::floor(4 * random.Uniform(draw++) / quantum); };
  for (size_t i = 0; i < windows; ++i) {
    instance.windows.push_back(ContinuousWindow{line(1), line(1), line(2), line(1), amount()});
  }
  instance.at_the_end = amount();
  return instance;
}

// Produced amounts on the grid: rounding the running sums of a continuous partition up gives one on
// the grid that is causal, costs at most a quantum more in each window and nothing more at the end.
TEST(GradientPartitionTest, MissesTheContinuousOptimumByAtMostAQuantumAWindow) {
  constexpr int kInstances = 30;
  constexpr double kQuantum = 0.125;
  const CounterRng random(2, "gradient_partition");
  uint64_t draw = 0;
  double worst_behind = 0;  // of the program behind evolution, relative
  double worst_ahead = 0;   // and ahead of it
  double sum = 0;
  for (int i = 0; i < kInstances; ++i) {
    const ContinuousInstance continuous = RandomContinuous(random, draw, kQuantum);
    Instance instance;
    const auto quanta = [&](double amount) { return std::llround(amount / kQuantum); };
    int64_t there = 0;
    for (const ContinuousWindow& window : continuous.windows) {
      PartitionWindow on_grid;
      on_grid.produced = quanta(window.produced);
      there += on_grid.produced;
      for (int64_t q = 0; q <= there; ++q) {
        on_grid.seconds.push_back(
            WindowSeconds(continuous, window, kQuantum * static_cast<double>(q)));
      }
      instance.windows.push_back(on_grid);
    }
    instance.at_the_end = quanta(continuous.at_the_end);
    for (int64_t q = 0; q <= Total(instance); ++q) {
      instance.end_seconds.push_back(
          GradientSeconds(continuous, kQuantum * static_cast<double>(q)));
    }
    const double program = Partition(instance).seconds;
    const double evolution =
        DifferentialEvolution(continuous, static_cast<uint64_t>(i)).Run(40, 150);
    const double bound = kQuantum * static_cast<double>(continuous.windows.size());
    EXPECT_LE(program, evolution + bound + 1e-9) << i;
    EXPECT_GE(program, evolution - bound) << i;  // evolution does its job
    worst_behind = std::max(worst_behind, program / evolution - 1);
    worst_ahead = std::max(worst_ahead, evolution / program - 1);
    sum += program / evolution - 1;
  }
  std::printf(
      "dynamic program against differential evolution, %d instances: mean %+.4f%%, at most "
      "%.4f%% behind, at most %.4f%% ahead\n",
      kInstances, 100 * sum / kInstances, 100 * worst_behind, 100 * worst_ahead);
}

}  // namespace
}  // namespace weft
